//! The answers of `PyYAML` 6.0.3's `safe_load("k: " + text)["k"]`, as JSON; dates, which
//! JSON has not, as their text.

use serde_json::Value;

use crate::yaml::parse;

#[test]
fn plain_scalars_mean_what_pyyaml_says() {
    for (text, answer) in ANSWERS {
        let expected: Value = serde_json::from_str(answer).unwrap();
        let found = parse(&format!("k: {text}")).unwrap().value;
        assert_eq!(found["k"], expected, "`{text}`");
    }
}

/// `PyYAML` refuses these too, or its answer is no JSON.
#[test]
fn what_has_no_json_value_is_refused() {
    for text in [
        ".inf", "-.INF", "+.Inf", ".nan", "0b_", "0x_", "1.0e+999", "!!int a", "!!bool y",
    ] {
        assert!(parse(&format!("k: {text}")).is_err(), "`{text}`");
    }
    let error = parse("k: 18446744073709551616").unwrap_err();
    assert!(
        error.message.contains("does not fit in 64 bits"),
        "{error:?}"
    );
    assert_eq!((error.line, error.column), (Some(1), Some(4)));
}

#[test]
fn quotes_and_tags_decide_before_the_text_does() {
    let table = [
        ("'yes'", r#""yes""#),
        ("\"0777\"", r#""0777""#),
        ("!!str 12", r#""12""#),
        ("!!int '0x10'", "16"),
        ("!!float 3", "3.0"),
        ("!!bool 'On'", "true"),
        ("!!null anything", "null"),
        ("! 12", "12"),
        ("!<tag:yaml.org,2002:str> 12", r#""12""#),
        ("|\n  yes\n", r#""yes\n""#),
        (">-\n  a\n  b\n", r#""a b""#),
        ("!!map {a: !!seq [1]}", r#"{"a":[1]}"#),
    ];
    for (text, answer) in table {
        let expected: Value = serde_json::from_str(answer).unwrap();
        assert_eq!(
            parse(&format!("k: {text}")).unwrap().value["k"],
            expected,
            "`{text}`"
        );
    }
}

const ANSWERS: &[(&str, &str)] = &[
    ("", "null"),
    ("~", "null"),
    ("null", "null"),
    ("Null", "null"),
    ("NULL", "null"),
    ("nULL", r#""nULL""#),
    ("true", "true"),
    ("True", "true"),
    ("TRUE", "true"),
    ("tRUE", r#""tRUE""#),
    ("yes", "true"),
    ("Yes", "true"),
    ("YES", "true"),
    ("no", "false"),
    ("No", "false"),
    ("NO", "false"),
    ("on", "true"),
    ("On", "true"),
    ("ON", "true"),
    ("off", "false"),
    ("Off", "false"),
    ("OFF", "false"),
    ("y", r#""y""#),
    ("n", r#""n""#),
    ("Y", r#""Y""#),
    ("N", r#""N""#),
    ("0", "0"),
    ("00", "0"),
    ("07", "7"),
    ("0777", "511"),
    ("-0777", "-511"),
    ("08", r#""08""#),
    ("0o17", r#""0o17""#),
    ("0_7", "7"),
    ("1_000", "1000"),
    ("-1_0", "-10"),
    ("+12", "12"),
    ("-0", "0"),
    ("0x1F", "31"),
    ("0xff_ff", "65535"),
    ("-0x10", "-16"),
    ("0X1F", r#""0X1F""#),
    ("0b1010", "10"),
    ("-0b11", "-3"),
    ("0b12", r#""0b12""#),
    ("12:30", "750"),
    ("12:30:00", "45000"),
    ("-1:30", "-90"),
    ("190:20:30", "685230"),
    ("1:60", r#""1:60""#),
    ("1:5", "65"),
    ("0:30", r#""0:30""#),
    ("012:30", r#""012:30""#),
    ("9223372036854775807", "9223372036854775807"),
    ("-9223372036854775808", "-9223372036854775808"),
    ("18446744073709551615", "18446744073709551615"),
    ("1.0", "1.0"),
    ("1.", "1.0"),
    (".5", "0.5"),
    ("-.5", r#""-.5""#),
    ("+.5", r#""+.5""#),
    ("-1.5", "-1.5"),
    ("1e3", r#""1e3""#),
    ("1.0e3", r#""1.0e3""#),
    ("1.0e+3", "1000.0"),
    ("1.5E-3", "0.0015"),
    ("1.e+2", "100.0"),
    (".5e-1", "0.05"),
    ("1_0.2_5", "10.25"),
    ("1:30.5", "90.5"),
    ("20:30.15", "1230.15"),
    ("-1:0.", "-60.0"),
    (".", r#"".""#),
    ("+", r#""+""#),
    ("..", r#""..""#),
    ("._5", r#""._5""#),
    ("1.2.3", r#""1.2.3""#),
    ("0.1", "0.1"),
    ("1__0", "10"),
    ("_1", r#""_1""#),
    ("2001-12-14", r#""2001-12-14""#),
    (
        "2001-12-14t21:59:43.10-05:00",
        r#""2001-12-14t21:59:43.10-05:00""#,
    ),
    ("2001-12-14 21:59:43", r#""2001-12-14 21:59:43""#),
    ("<", r#""<""#),
    ("a=b", r#""a=b""#),
    ("1 2", r#""1 2""#),
    ("0x", r#""0x""#),
    ("nan", r#""nan""#),
    ("inf", r#""inf""#),
    ("Infinity", r#""Infinity""#),
    ("-.nan", r#""-.nan""#),
    ("0.30000000000000004", "0.30000000000000004"),
    ("1e-7", r#""1e-7""#),
    ("1.0e-7", "1e-07"),
];
