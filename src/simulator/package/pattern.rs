//! Deterministic fields that look like landscapes: value noise on a lattice of pixels.

/// Distances between lattice points, in pixels, with the share of each octave.
const OCTAVES: [(i64, f32); 4] = [(512, 0.5), (128, 0.27), (32, 0.15), (8, 0.08)];

/// A smooth random field over the endless plane of pixels, with values in 0..1.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    seed: u64,
}

impl Field {
    /// The field of a name and a purpose: the same for ever.
    pub(crate) fn new(name: &str, purpose: u64) -> Self {
        let seed = name.bytes().fold(0xcbf2_9ce4_8422_2325 ^ purpose, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { seed: mix(seed) }
    }

    /// The values of one row: pixels `left..` of line `line`, stretched so that the extremes are reached.
    pub(crate) fn row(&self, line: i64, left: i64, row: &mut [f32]) {
        row.fill(0.0);
        for (octave, (period, share)) in OCTAVES.into_iter().enumerate() {
            let upper = line.div_euclid(period);
            let down = smooth(line.rem_euclid(period) as f32 / period as f32);
            let mut column = 0;
            while column < row.len() {
                let x = left + column as i64;
                let cell = x.div_euclid(period);
                let last = (((cell + 1) * period - left) as usize).min(row.len());
                let west = self.between(octave, cell, upper, down);
                let east = self.between(octave, cell + 1, upper, down);
                for (position, value) in row.iter_mut().enumerate().take(last).skip(column) {
                    let across = smooth((left + position as i64 - cell * period) as f32 / period as f32);
                    *value += share * (west + (east - west) * across);
                }
                column = last;
            }
        }
        for value in row {
            *value = ((*value - 0.5) * 1.7 + 0.5).clamp(0.0, 0.999_999);
        }
    }

    fn between(&self, octave: usize, cell: i64, upper: i64, down: f32) -> f32 {
        let above = self.lattice(octave, cell, upper);
        let below = self.lattice(octave, cell, upper + 1);
        above + (below - above) * down
    }

    fn lattice(&self, octave: usize, x: i64, y: i64) -> f32 {
        let key = (x as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (y as u64).rotate_left(32) ^ octave as u64;
        (mix(self.seed ^ mix(key)) >> 40) as f32 / (1_u64 << 24) as f32
    }
}

fn smooth(part: f32) -> f32 {
    part * part * (3.0 - 2.0 * part)
}

/// The finaliser of splitmix64.
fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_the_same_wherever_it_is_cut() {
        let field = Field::new("IMD", 1);
        let (mut whole, mut part) = ([0.0; 300], [0.0; 100]);
        field.row(-7, -50, &mut whole);
        field.row(-7, 100, &mut part);
        assert_eq!(whole[150..250], part);
        assert!(whole.iter().all(|value| (0.0..1.0).contains(value)));
    }

    #[test]
    fn names_and_purposes_differ() {
        let row = |name, purpose| {
            let mut row = [0.0; 64];
            Field::new(name, purpose).row(3, 0, &mut row);
            row
        };
        assert_ne!(row("A", 0), row("B", 0));
        assert_ne!(row("A", 0), row("A", 1));
        assert_eq!(row("A", 0), row("A", 0));
    }
}
