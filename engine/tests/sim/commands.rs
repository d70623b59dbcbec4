//! What members tell rooms with rules to do.

/// A command; `token` is a word that nobody else says.
pub(crate) fn command(token: &str, x: usize, b: u32) -> String {
    let n = b / 64 % 7;
    let team = b / 512 % 3;
    let [at_x, at_y] = [b >> 12, b >> 20].map(|bits| i64::from(bits % 60) - 30);
    let whom = ["me", "#0", "#1", "#2"][(b / 2048 % 4) as usize];
    match b % 64 {
        0..=6 => format!("create 1 {whom} {team} {at_x} {at_y}"),
        7 => format!("create 2 {whom} 0"),
        8 => format!("create 3 0 {team}"),
        9 => format!("create 4 {whom} {team}"),
        10..=19 => format!("move #{n} {at_x} {at_y}"),
        20 | 21 => format!("plan #{n} p{token}"),
        22 | 23 => format!("hand #{n} h{token}"),
        24 => format!("name #{n} {token}"),
        25 => format!("odds #{n} {}", b >> 16),
        26 => format!("mark #{n} {}", b >> 16),
        27 => format!("seed #{n} {token}"),
        28 => format!("path #{n} {} {} {}", b % 5, b % 7, n),
        29 => format!("count {}", b >> 10),
        30 => format!("hint {token}"),
        31 => format!("note {token}"),
        32 => format!("secret {token}"),
        33 => format!("trap #{n} {token}"),
        34 => format!("stock #{n} {}", b >> 20),
        35 | 36 => format!("remove #{n}"),
        37..=39 => format!("give #{n} {whom} {team}"),
        40..=43 => format!("team {whom} {team}"),
        44..=47 => format!("view {whom} {at_x} {at_y}"),
        48 => format!("say {token}"),
        49 => format!("now {n} {token}"),
        50 => format!("wave {token}"),
        51 => format!("tell {whom} {token}"),
        52 => format!("rally {team} {token}"),
        53 => format!("timer {n} {team}"),
        54 => format!("wander {n}"),
        55 => format!("counting {n}"),
        56 => format!("arm join team me {team}"),
        57 => format!("arm join view me {at_x} {at_y}"),
        58 => format!("arm leave remove #{n}"),
        59 => format!("arm tick move #{n} {at_x} {at_y}"),
        60 => format!("kick {whom}"),
        _ if !x.is_multiple_of(3) => format!("refuse {token}"),
        61 => {
            ["close", "arm may_join close", "arm leave close", "arm empty close", "arm join close"]
                [n as usize % 5]
                .to_owned()
        }
        62 => [
            "panic",
            "spend 5000",
            "grow 9000",
            "fill 100",
            "arm leave panic",
            "arm may_join panic",
        ][n as usize % 6]
            .to_owned(),
        _ => ["arm leave kick #0", "arm join kick #0", "arm join kick me", "arm may_join kick #0"]
            [n as usize % 4]
            .to_owned(),
    }
}
