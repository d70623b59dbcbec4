//! What managers do: kick, ban, close.

use super::{Ctx, Refusal, Room, refuse};
use crate::access::UserKey;
use madang_protocol::ErrorCode;
use madang_protocol::client::{Manage, ManageAction};
use madang_protocol::limits::{BAN_SECONDS_MAX, USER_BYTES_MAX};
use madang_protocol::server::LeaveReason;

impl Room {
    /// A member with the right to manages the room. The answer comes before what it leads to: that may
    /// be the end of the member itself.
    pub(super) fn manage(
        &mut self,
        id: u32,
        op: &Manage,
        ctx: &mut Ctx<'_>,
    ) -> Result<(), Refusal> {
        match &op.action {
            ManageAction::Kick { member } => {
                if self.members.get(member.0).is_none() {
                    let why = format!("there is no member {member}");
                    return refuse(ErrorCode::NO_SUCH_MEMBER, why);
                }
                self.acknowledge(id, op.cseq, None, ctx);
                self.remove_member(member.0, LeaveReason::Kicked, ctx);
            }
            ManageAction::Ban { user, seconds } => {
                if !(1..=BAN_SECONDS_MAX).contains(seconds) {
                    let why = format!("a ban is for 1 to {BAN_SECONDS_MAX} seconds");
                    return refuse(ErrorCode::INVALID, why);
                }
                let key = self.user_key(id, user)?;
                let until = ctx.now.plus_ms(u64::from(*seconds) * 1000);
                let most = ctx.config.bans_max;
                let has_place = planted!(ctx, BanForgotten)
                    || ctx.bans.add(&self.name, key.clone(), until, ctx.now, most);
                if !has_place {
                    let why = format!("the server keeps at most {most} bans here; lift some first");
                    return refuse(ErrorCode::BUSY, why);
                }
                self.acknowledge(id, op.cseq, None, ctx);
                self.remove_user(&key, ctx);
            }
            ManageAction::Unban { user } => {
                let key = self.user_key(id, user)?;
                ctx.bans.lift(&self.name, key);
                self.acknowledge(id, op.cseq, None, ctx);
            }
            ManageAction::Close => {
                self.acknowledge(id, op.cseq, None, ctx);
                self.close(LeaveReason::Closed, ctx);
            }
        }
        Ok(())
    }

    /// A user of the application that a member is of.
    fn user_key(&self, manager: u32, user: &str) -> Result<UserKey, Refusal> {
        if !(1..=USER_BYTES_MAX).contains(&user.len()) {
            let why = format!("a user's name has 1 to {USER_BYTES_MAX} bytes");
            return refuse(ErrorCode::INVALID, why);
        }
        let app = self.members.get(manager).map(|member| member.identity.app.clone());
        Ok(UserKey { app: app.unwrap_or_default(), user: user.into() })
    }

    fn remove_user(&mut self, user: &UserKey, ctx: &mut Ctx<'_>) {
        let is_user = |identity: &crate::access::Identity| {
            identity.user.as_deref() == Some(&*user.user) && identity.app == user.app
        };
        let theirs = self.members.iter().filter(|member| is_user(&member.identity));
        let theirs: Vec<u32> = theirs.map(|member| member.id).collect();
        for id in theirs {
            self.remove_member(id, LeaveReason::Kicked, ctx);
        }
    }
}
