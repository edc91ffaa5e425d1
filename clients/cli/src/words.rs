//! Numbers and keys as people read them.

use std::path::Path;

use noesis_chain::{AccountId, NOE};

/// An amount in NOE with thousands apart and three decimals, which a million and more do without:
/// `1,234.567`, `1,234,567`.
pub fn noe(units: u64) -> String {
    let milli = (u128::from(units) * 1000 + u128::from(NOE) / 2) / u128::from(NOE);
    let whole = (milli / 1000).to_string();
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    if milli >= 1_000_000_000 {
        return grouped;
    }
    format!("{grouped}.{:03}", milli % 1000)
}

/// A share with three decimals, and a dash for nothing, so that the eye finds what is not zero.
pub fn share(value: f64) -> String {
    if value == 0.0 {
        "-".into()
    } else {
        format!("{value:.3}")
    }
}

/// The beginning and the end of an address.
pub fn short(account: AccountId) -> String {
    let address = account.to_string();
    format!("{}…{}", &address[..6], &address[address.len() - 4..])
}

/// A path as a shell takes it.
pub fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |letter: char| letter.is_alphanumeric() || "/._-+".contains(letter);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_rounded_and_grouped() {
        assert_eq!(noe(0), "0.000");
        assert_eq!(noe(1_500_000), "0.002");
        assert_eq!(noe(NOE), "1.000");
        assert_eq!(noe(10_000 * NOE), "10,000.000");
        assert_eq!(noe(1_234_567 * NOE + 999_600_000), "1,234,568");
        assert_eq!(noe(u64::MAX), "18,446,744,073");
    }

    #[test]
    fn shares_show_zero_as_a_dash() {
        assert_eq!(share(0.0), "-");
        assert_eq!(share(0.123_45), "0.123");
        assert_eq!(share(-0.5), "-0.500");
    }

    #[test]
    fn a_path_can_be_pasted() {
        assert_eq!(shell(Path::new("/a-b/c_d.e")), "/a-b/c_d.e");
        assert_eq!(shell(Path::new("/my files/it's")), r"'/my files/it'\''s'");
    }

    #[test]
    fn an_address_keeps_both_ends() {
        assert_eq!(short(AccountId([0; 32])).chars().count(), 11);
    }
}
