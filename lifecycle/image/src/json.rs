//! JSON with one form only: keys sorted, no spaces. Image digests depend on it.

use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The bytes of `value` with the keys of every object sorted, whatever order its type or a dependency's feature gives them.
pub(crate) fn canonical(value: &impl Serialize) -> Vec<u8> {
    let value =
        serde_json::to_value(value).expect("our documents have string keys and no failing parts");
    let mut bytes = Vec::new();
    write(&value, &mut bytes);
    bytes
}

fn write(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Object(object) => {
            let sorted: BTreeMap<&String, &Value> = object.iter().collect();
            bytes.push(b'{');
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                comma(index, bytes);
                scalar(key, bytes);
                bytes.push(b':');
                write(value, bytes);
            }
            bytes.push(b'}');
        }
        Value::Array(array) => {
            bytes.push(b'[');
            for (index, value) in array.iter().enumerate() {
                comma(index, bytes);
                write(value, bytes);
            }
            bytes.push(b']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar(value, bytes),
    }
}

fn comma(index: usize, bytes: &mut Vec<u8>) {
    if index > 0 {
        bytes.push(b',');
    }
}

fn scalar(value: &impl Serialize, bytes: &mut Vec<u8>) {
    serde_json::to_writer(bytes, value).expect("writing to memory cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_sorts_at_every_depth() {
        let value: Value =
            serde_json::from_str(r#"{"b": [{"z": 1, "a": "\"é"}], "a": null, "B": 1.5}"#).unwrap();
        assert_eq!(
            String::from_utf8(canonical(&value)).unwrap(),
            r#"{"B":1.5,"a":null,"b":[{"a":"\"é","z":1}]}"#
        );
    }
}
