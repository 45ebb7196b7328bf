//! Kubernetes quantities, as far as adding up and comparing what clusters have needs them.

/// An amount of CPU (in cores) or memory (in bytes), in billionths of the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Quantity(i128);

const BILLION: i128 = 1_000_000_000;

impl Quantity {
    /// Reads `100m`, `1.5`, `16Gi`, `3e2` and the like.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let digits = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-'));
        let (number, suffix) = text.split_at(digits.unwrap_or(text.len()));
        let (numerator, denominator) = scale(suffix)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.trim_start_matches(['+', '-']).is_empty() && fraction.is_empty()
            || fraction.len() > 9
            || !fraction.bytes().all(|byte| byte.is_ascii_digit())
        {
            return None;
        }
        let is_negative = whole.starts_with('-');
        let whole: i128 = match whole.trim_start_matches(['+', '-']) {
            "" => 0,
            whole => whole.parse().ok()?,
        };
        let fraction: i128 = format!("{fraction:0<9}").parse().ok()?;
        let billionths = whole.checked_mul(BILLION)?.checked_add(fraction)?;
        let scaled = billionths.checked_mul(numerator)? / denominator;
        Some(Self(if is_negative { -scaled } else { scaled }))
    }

    /// The sum, which stays at the largest amount instead of overflowing.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The difference, at least nothing.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0).max(0))
    }

    /// Whether the other amount differs by at least one `share`-th of this one.
    #[must_use]
    pub fn is_off_by_a_share(self, other: Self, share: i128) -> bool {
        let off = self.0.saturating_sub(other.0).saturating_abs();
        off != 0 && off.saturating_mul(share) >= self.0.saturating_abs()
    }

    /// As cores: `8` or `7500m`, rounded up.
    #[must_use]
    pub fn to_cpu(self) -> String {
        let milli =
            self.0.div_euclid(BILLION / 1000) + i128::from(self.0.rem_euclid(BILLION / 1000) != 0);
        if milli % 1000 == 0 { (milli / 1000).to_string() } else { format!("{milli}m") }
    }

    /// As bytes, with the largest binary suffix that loses nothing: `16Gi`, `16374100Ki`.
    #[must_use]
    pub fn to_memory(self) -> String {
        let bytes = self.0.div_euclid(BILLION) + i128::from(self.0.rem_euclid(BILLION) != 0);
        let suffixes = [(1 << 40, "Ti"), (1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")];
        suffixes
            .into_iter()
            .find(|(size, _)| bytes != 0 && bytes % size == 0)
            .map_or_else(|| bytes.to_string(), |(size, suffix)| format!("{}{suffix}", bytes / size))
    }
}

/// What a suffix multiplies by, as a fraction.
fn scale(suffix: &str) -> Option<(i128, i128)> {
    let thousand = |power: u32| 1000_i128.pow(power);
    Some(match suffix {
        "" => (1, 1),
        "n" => (1, thousand(3)),
        "u" => (1, thousand(2)),
        "m" => (1, thousand(1)),
        "k" => (thousand(1), 1),
        "M" => (thousand(2), 1),
        "G" => (thousand(3), 1),
        "T" => (thousand(4), 1),
        "P" => (thousand(5), 1),
        "E" => (thousand(6), 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 { (1, power) } else { (power, 1) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parse(text: &str) -> Quantity {
        Quantity::parse(text).unwrap_or_else(|| panic!("{text} is a quantity"))
    }

    #[test]
    fn all_notations_mean_the_same() {
        for (one, two) in [
            ("1", "1000m"),
            ("0.1", "100m"),
            ("1.5", "1500m"),
            (".5", "500m"),
            ("1k", "1000"),
            ("1Ki", "1024"),
            ("1.5Gi", "1536Mi"),
            ("3e2", "300"),
            ("3E2", "300"),
            ("5e-1", "500m"),
            ("1E", "1000000000000000000"),
            ("250000000n", "250m"),
        ] {
            assert_eq!(parse(one), parse(two), "{one} and {two}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "Gi", "1.2.3", "one", "1Kb", "-", "1e99999999999"] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_share_counts_from_the_first_amount() {
        let off = |one, two| parse(one).is_off_by_a_share(parse(two), 10);
        assert!(off("10", "11") && off("10", "9") && !off("10", "10900m") && !off("10", "9100m"));
        assert!(off("0", "1n") && !off("0", "0") && !off("16Gi", "16Gi"));
    }

    #[test]
    fn sums_are_written_as_people_write_them() {
        assert_eq!(parse("3500m").plus(parse("500m")).to_cpu(), "4");
        assert_eq!(parse("4").minus(parse("250m")).to_cpu(), "3750m");
        assert_eq!(parse("1").minus(parse("2")).to_cpu(), "0");
        assert_eq!(parse("1n").to_cpu(), "1m");
        assert_eq!(parse("8Gi").plus(parse("8Gi")).to_memory(), "16Gi");
        assert_eq!(parse("16374100Ki").to_memory(), "16374100Ki");
        assert_eq!(parse("1000").to_memory(), "1000");
        assert_eq!(parse("0").to_memory(), "0");
    }
}
