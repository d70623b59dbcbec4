//! Types of values about addresses: networks, bans, and what a proxy is believed.

use super::rules::list;
use super::value::{Bad, Raw, Value};
use ipnet::IpNet;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use toml::value::Datetime;

/// A network, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(pub IpNet);

/// A network that may not connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanRule {
    /// Which one.
    pub network: Network,
    /// When that ends, if it does.
    pub until: Option<Moment>,
}

/// A moment as it was written, with its offset from UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    text: Box<str>,
    at: SystemTime,
}

impl Moment {
    /// When that is.
    pub fn at(&self) -> SystemTime {
        self.at
    }
}

const NETWORK: &str = "write it as 192.0.2.0/24, 2001:db8::/32 or a single address";
const BAN: &str = "write it as { network = \"192.0.2.0/24\", until = 2030-01-31T12:00:00Z }";

impl Value for Vec<Network> {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        list(
            raw,
            "networks",
            |text| network(text).map_err(|message| vec![Bad { at: None, message }]),
            |item| {
                let text = item.get_ref().as_str().unwrap_or_default();
                network(text).or_else(|_| bad(item, not_a_network(&Raw::Toml(item))))
            },
        )
    }

    fn render(&self) -> Option<String> {
        let networks = self.iter().map(|network| format!("\"{}\"", network.0));
        Some(format!("[{}]", networks.collect::<Vec<_>>().join(", ")))
    }

    fn accepts((): &()) -> String {
        "a list of networks like 192.0.2.0/24; elsewhere also separated by commas".to_owned()
    }
}

impl Value for Vec<BanRule> {
    type Bounds = ();

    fn parse(raw: &Raw<'_>, (): &(), _: &Self) -> Result<Self, Vec<Bad>> {
        list(raw, "bans; write [[access.bans]]", ban_of_text, |item| match item.get_ref() {
            DeValue::Table(table) => ban_of_table(item, table),
            _ => bad(item, format!("{} is not a ban; {BAN}", Raw::Toml(item))),
        })
    }

    fn render(&self) -> Option<String> {
        let bans = self.iter().map(|ban| match &ban.until {
            None => format!("{{ network = \"{}\" }}", ban.network.0),
            Some(until) => {
                format!("{{ network = \"{}\", until = {} }}", ban.network.0, until.text)
            }
        });
        Some(format!("[{}]", bans.collect::<Vec<_>>().join(", ")))
    }

    fn accepts((): &()) -> String {
        "tables of network and, if it ends, until; elsewhere also NETWORK=UNTIL,...".to_owned()
    }
}

fn bad<T>(item: &Spanned<DeValue<'_>>, message: String) -> Result<T, Vec<Bad>> {
    Err(vec![Bad { at: Some(item.span().start), message }])
}

fn not_a_network(shown: &Raw<'_>) -> String {
    format!("{shown} is not a network; {NETWORK}")
}

fn network(text: &str) -> Result<Network, String> {
    let net = text.parse::<IpNet>().ok();
    let net = net.or_else(|| Some(text.parse::<IpAddr>().ok()?.into()));
    match net {
        Some(net) if net.addr() == net.network() => Ok(Network(net)),
        Some(net) => Err(format!("{text} has bits behind its prefix; was {} meant?", net.trunc())),
        None => Err(not_a_network(&Raw::Text(text))),
    }
}

/// `192.0.2.0/24` or `192.0.2.0/24=2030-01-31T12:00:00Z`
fn ban_of_text(text: &str) -> Result<BanRule, Vec<Bad>> {
    let (of, until) = match text.split_once('=') {
        Some((of, until)) => (of, Some(until)),
        None => (text, None),
    };
    let read = || {
        let network = network(of)?;
        let until = until.map(|until| {
            let moment = until.parse::<Datetime>().ok().and_then(|datetime| moment(&datetime));
            moment.ok_or_else(|| {
                format!("{until:?} is not a moment; write it as 2030-01-31T12:00:00Z")
            })
        });
        Ok(BanRule { network, until: until.transpose()? })
    };
    read().map_err(|message| vec![Bad { at: None, message }])
}

fn ban_of_table(item: &Spanned<DeValue<'_>>, table: &DeTable<'_>) -> Result<BanRule, Vec<Bad>> {
    for (name, value) in table {
        let name = name.get_ref().as_ref();
        if !["network", "until"].contains(&name) {
            return bad(
                value,
                format!("{name}: unknown key; a ban has network and may have until"),
            );
        }
    }
    let Some(value) = table.get("network") else {
        return bad(item, format!("a ban needs a network; {BAN}"));
    };
    let text = value.get_ref().as_str().unwrap_or_default();
    let network = network(text).or_else(|message| bad(value, message))?;
    let until = match table.get("until") {
        None => None,
        Some(value) => match value.get_ref() {
            DeValue::Datetime(datetime) if moment(datetime).is_some() => moment(datetime),
            _ => {
                let shown = Raw::Toml(value);
                return bad(value, format!("{shown} is not a moment with an offset; {BAN}"));
            }
        },
    };
    Ok(BanRule { network, until })
}

/// A date and time with an offset; None for anything less.
fn moment(datetime: &Datetime) -> Option<Moment> {
    let (date, time) = (datetime.date?, datetime.time?);
    let offset_minutes = match datetime.offset? {
        toml::value::Offset::Z => 0,
        toml::value::Offset::Custom { minutes } => i64::from(minutes),
    };
    // Days since 1970 in the Gregorian calendar, years beginning in March (Howard Hinnant).
    let (year, month, day) = (i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year
        - 719_468;
    let minutes = i64::from(time.hour) * 60 + i64::from(time.minute) - offset_minutes;
    let seconds = days * 86_400 + minutes * 60 + i64::from(time.second.unwrap_or(0));
    // Before 1970 it has ended in any case.
    let at = UNIX_EPOCH + Duration::from_secs(seconds.max(0) as u64);
    Some(Moment { text: datetime.to_string().into(), at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-11-28T16:00:00+01:00", 1_795_878_000),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("1969-12-31T00:00:00Z", 0),
        ] {
            let at = moment(&text.parse().unwrap()).unwrap().at();
            assert_eq!(at.duration_since(UNIX_EPOCH).unwrap().as_secs(), seconds, "{text}");
        }
        assert_eq!(moment(&"2026-11-28T16:00:00".parse().unwrap()), None, "no offset");
        assert_eq!(moment(&"2026-11-28".parse().unwrap()), None);
    }
}
