//! The plane: what the rules need of it, out of `+ - * /`, `sqrt` and comparisons alone.
//!
//! These are exact on every machine and in JavaScript, so that a recorded match replays to the same
//! hashes and a browser predicts its own player with the same numbers. Sines are in a table.

/// A point or a direction: x to the right, y down, in units of which the courtyard is 40 wide.
pub type Vector = [f64; 2];

/// The sum.
pub fn add(a: Vector, b: Vector) -> Vector {
    [a[0] + b[0], a[1] + b[1]]
}

/// The way from `b` to `a`.
pub fn sub(a: Vector, b: Vector) -> Vector {
    [a[0] - b[0], a[1] - b[1]]
}

/// So many times as long.
pub fn scale(a: Vector, by: f64) -> Vector {
    [a[0] * by, a[1] * by]
}

/// The dot product.
pub fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1]
}

/// The length.
pub fn length(a: Vector) -> f64 {
    dot(a, a).sqrt()
}

/// How far two points are from each other.
pub fn distance(a: Vector, b: Vector) -> f64 {
    length(sub(a, b))
}

/// The direction of length 1; nothing for what has none.
pub fn unit(a: Vector) -> Option<Vector> {
    let length = length(a);
    (length > 0.0).then(|| [a[0] / length, a[1] / length])
}

/// How far a point is from a segment, and how far along it (0 to 1) the nearest place is.
pub fn segment_distance(point: Vector, from: Vector, to: Vector) -> (f64, f64) {
    let way = sub(to, from);
    let squared = dot(way, way);
    let along = if squared > 0.0 { dot(sub(point, from), way) / squared } else { 0.0 };
    let along = along.clamp(0.0, 1.0);
    (distance(point, add(from, scale(way, along))), along)
}

/// Directions that a player may look in.
pub const DIRECTIONS: usize = 32;

/// The cosines of multiples of a sixteenth of half a turn, to a quarter.
const COSINES: [f64; 9] = [
    1.0,
    0.980_785_280_403_230_4,
    0.923_879_532_511_286_7,
    0.831_469_612_302_545_2,
    std::f64::consts::FRAC_1_SQRT_2,
    0.555_570_233_019_602_2,
    0.382_683_432_365_089_8,
    0.195_090_322_016_128_25,
    0.0,
];

/// A direction by its number, from the right and clockwise as seen (y is down); numbers go round.
pub fn direction(number: usize) -> Vector {
    let (quarter, step) = (number / 8 % 4, number % 8);
    let (cosine, sine) = (COSINES[step], COSINES[8 - step]);
    match quarter {
        0 => [cosine, sine],
        1 => [-sine, cosine],
        2 => [-cosine, -sine],
        _ => [sine, -cosine],
    }
}

/// The number of the direction nearest to a vector; 0 for what has none.
pub fn look_of(vector: Vector) -> u8 {
    let mut best = (0, 0.0);
    for number in 0..DIRECTIONS {
        let likeness = dot(vector, direction(number));
        if likeness > best.1 {
            best = (number as u8, likeness);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_go_round_and_find_themselves() {
        for number in 0..DIRECTIONS {
            assert!((length(direction(number)) - 1.0).abs() < 1e-15);
            assert_eq!(usize::from(look_of(scale(direction(number), 3.0))), number);
        }
        assert!(distance(direction(8), [0.0, 1.0]) < 1e-15);
        assert_eq!(look_of([0.0, 0.0]), 0);
    }

    #[test]
    fn the_nearest_place_of_a_segment_is_within_it() {
        assert_eq!(segment_distance([5.0, 3.0], [0.0, 0.0], [10.0, 0.0]), (3.0, 0.5));
        assert_eq!(segment_distance([-4.0, 3.0], [0.0, 0.0], [10.0, 0.0]), (5.0, 0.0));
        assert_eq!(segment_distance([3.0, 4.0], [0.0, 0.0], [0.0, 0.0]), (5.0, 0.0));
    }
}
