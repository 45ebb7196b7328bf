//! Canonical JSON against the vectors of RFC 8785, and the properties that hashes rely on.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::selection::canonical_json;

fn canonical(value: &Value) -> String {
    String::from_utf8(canonical_json(value)).unwrap()
}

/// RFC 8785, appendix B, without those that JSON cannot hold.
#[test]
fn numbers_are_written_as_the_rfc_lists_them() {
    let vectors = [
        (0x0000000000000000, "0"),
        (0x8000000000000000, "0"),
        (0x0000000000000001, "5e-324"),
        (0x8000000000000001, "-5e-324"),
        (0x7fefffffffffffff, "1.7976931348623157e+308"),
        (0xffefffffffffffff, "-1.7976931348623157e+308"),
        (0x4340000000000000, "9007199254740992"),
        (0xc340000000000000, "-9007199254740992"),
        (0x4430000000000000, "295147905179352830000"),
        (0x44b52d02c7e14af5, "9.999999999999997e+22"),
        (0x44b52d02c7e14af6, "1e+23"),
        (0x44b52d02c7e14af7, "1.0000000000000001e+23"),
        (0x444b1ae4d6e2ef4e, "999999999999999700000"),
        (0x444b1ae4d6e2ef4f, "999999999999999900000"),
        (0x444b1ae4d6e2ef50, "1e+21"),
        (0x3eb0c6f7a0b5ed8c, "9.999999999999997e-7"),
        (0x3eb0c6f7a0b5ed8d, "0.000001"),
        (0x41b3de4355555553, "333333333.3333332"),
        (0x41b3de4355555554, "333333333.33333325"),
        (0x41b3de4355555555, "333333333.3333333"),
        (0x41b3de4355555556, "333333333.3333334"),
        (0x41b3de4355555557, "333333333.33333343"),
        (0xbecbf647612f3696, "-0.0000033333333333333333"),
        (0x43143ff3c1cb0959, "1424953923781206.2"),
    ];
    for (bits, expected) in vectors {
        assert_eq!(canonical(&json!(f64::from_bits(bits))), expected, "{bits:016x}");
    }
}

/// RFC 8785, section 3.2.2.
#[test]
fn the_sample_of_the_rfc_comes_out_as_printed_there() {
    let sample = r#"{
        "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
        "literals": [null, true, false]
    }"#;
    let expected = concat!(
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
        r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
    );
    assert_eq!(canonical(&serde_json::from_str(sample).unwrap()), expected);
}

/// RFC 8785, section 3.2.3: by UTF-16, an emoji (a surrogate pair) comes before U+FB33.
#[test]
fn keys_are_sorted_by_their_utf16_code_units() {
    let fields = r#"{
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\ud83d\ude00": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis"
    }"#;
    let expected = concat!(
        "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",",
        "\"\u{f6}\":\"Latin Small Letter O With Diaeresis\",\"\u{20ac}\":\"Euro Sign\",",
        "\"\u{1f600}\":\"Emoji: Grinning Face\",",
        "\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}"
    );
    assert_eq!(canonical(&serde_json::from_str(fields).unwrap()), expected);
}

#[test]
fn only_what_must_be_escaped_is() {
    let cases = [
        ("\u{0}", r#""\u0000""#),
        ("\u{1f}", r#""\u001f""#),
        ("\u{8}\u{c}\n\r\t", r#""\b\f\n\r\t""#),
        ("\u{7f}", "\"\u{7f}\""),
        ("</script>", "\"</script>\""),
        ("\u{2028}", "\"\u{2028}\""),
    ];
    for (string, expected) in cases {
        assert_eq!(canonical(&json!(string)), expected);
    }
}

#[test]
fn integers_keep_all_their_digits() {
    let cases = [
        (json!(0), "0"),
        (json!(-7), "-7"),
        (json!(9_007_199_254_740_992_u64), "9007199254740992"),
        (json!(9_007_199_254_740_993_u64), "9007199254740993"),
        (json!(i64::MIN), "-9223372036854775808"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!(1.0), "1"),
    ];
    for (number, expected) in cases {
        assert_eq!(canonical(&number), expected);
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    /// What is stored is what is read back: writing it again changes no byte.
    #[test]
    fn canonical_bytes_read_back_and_are_written_the_same(value in any_json()) {
        let bytes = canonical_json(&value);
        let read: Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(canonical_json(&read), bytes);
    }

    /// No double loses anything, however it is written.
    #[test]
    fn doubles_read_back_exactly(number in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
        let read: f64 = canonical(&json!(number)).parse().unwrap();
        prop_assert_eq!(read, number);
    }

    #[test]
    fn the_order_in_which_keys_were_written_does_not_matter(
        fields in prop::collection::btree_map(any::<String>(), any::<i64>(), 0..8)
    ) {
        let write = |fields: Vec<(&String, &i64)>| {
            let fields = fields.iter().map(|(key, value)| format!("{}:{value}", json!(key)));
            let text = format!("{{{}}}", fields.collect::<Vec<_>>().join(","));
            canonical_json(&serde_json::from_str(&text).unwrap())
        };
        let forwards = write(fields.iter().collect());
        let backwards = write(fields.iter().rev().collect());
        prop_assert_eq!(forwards, backwards);
    }
}
