//! NUTS codes: only the country in front is checked.

use serde_json::Value;

use super::{Refusal, is_empty};

const COUNTRIES: &str = "AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ \
    BR BS BT BV BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH EL \
    ER ES ET FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL \
    IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KS KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD \
    ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG \
    PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ \
    TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UK UM US UY UZ VA VC VE VG VI VN VU WF WS XK YE YT ZA ZM ZW";

/// The code to store, `None` when nothing was asked for.
pub(crate) fn check(item: &Value) -> Result<Option<&str>, Refusal> {
    let Some(given) = item.get("NUTS").filter(|given| !is_empty(given)) else { return Ok(None) };
    let crash =
        |kind: &str| Refusal::Crash(format!("'{kind}' object has no attribute 'isalnum'"), "AttributeError");
    let code = match given {
        Value::String(code) => code,
        Value::Number(number) => return Err(crash(if number.is_f64() { "float" } else { "int" })),
        Value::Array(_) => return Err(crash("list")),
        Value::Object(_) => return Err(crash("dict")),
        Value::Null | Value::Bool(_) => return Err(crash("bool")),
    };
    let known =
        code.get(..2).is_some_and(|country| COUNTRIES.split_whitespace().any(|known| known == country));
    if known && code.chars().all(char::is_alphanumeric) {
        Ok(Some(code))
    } else {
        Err(Refusal::say("NUTS country error"))
    }
}

/// The name of a region; a code that is not known is its own name.
pub(crate) fn name(code: &str) -> &str {
    match code {
        "AT" => "Österreich",
        "AT13" => "Wien",
        "BE" => "België/Belgique",
        "DE" => "Deutschland",
        "ES" => "España",
        "IT" => "Italia",
        "ITC1" => "Piemonte",
        "ITC11" => "Torino",
        _ => code,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_country_is_checked() {
        for (code, fine) in
            [("BE", true), ("BE999ZZ", true), ("EL30", true), ("be", false), ("QQ1", false), ("IT-C1", false)]
        {
            assert_eq!(check(&json!({ "NUTS": code })).is_ok(), fine, "{code}");
        }
        assert_eq!(check(&json!({ "NUTS": "" })).unwrap(), None);
        assert!(matches!(check(&json!({ "NUTS": 1 })), Err(Refusal::Crash(..))));
    }
}
