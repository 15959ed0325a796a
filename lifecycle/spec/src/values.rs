//! Arbitrary data that buildpacks keep with a layer: TOML in files, JSON in labels.
//!
//! Dates become strings on the way to JSON, as the reference implementation writes them; `null` does not exist in TOML and is left out on the way back.

use serde::{Deserialize, Deserializer};

/// The JSON form of TOML data.
pub fn json_of(value: &toml::Value) -> serde_json::Value {
    match value {
        toml::Value::String(text) => text.as_str().into(),
        toml::Value::Integer(number) => (*number).into(),
        toml::Value::Float(number) => (*number).into(),
        toml::Value::Boolean(flag) => (*flag).into(),
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(list) => list.iter().map(json_of).collect(),
        toml::Value::Table(table) => table
            .iter()
            .map(|(key, value)| (key.clone(), json_of(value)))
            .collect(),
    }
}

/// The TOML form of JSON data; none for `null`.
pub fn toml_of(value: &serde_json::Value) -> Option<toml::Value> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(flag) => (*flag).into(),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.as_f64()?.into(),
        },
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(list) => {
            toml::Value::Array(list.iter().filter_map(toml_of).collect())
        }
        serde_json::Value::Object(map) => toml::Value::Table(
            map.iter()
                .filter_map(|(key, value)| Some((key.clone(), toml_of(value)?)))
                .collect(),
        ),
    })
}

/// Reads `null` as the default value: Go writes it for empty lists and maps.
pub(crate) fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_there_and_back() {
        let text = "a = 1\nb = 1.5\nc = \"x\"\nd = [true, [1]]\n\n[e.f]\ng = \"h\"\n";
        let value: toml::Value = toml::from_str(text).unwrap();
        assert_eq!(toml_of(&json_of(&value)), Some(value));
    }

    #[test]
    fn json_of_date() {
        let value: toml::Value = toml::from_str("at = 2026-11-21T10:00:00Z").unwrap();
        assert_eq!(
            json_of(&value).to_string(),
            r#"{"at":"2026-11-21T10:00:00Z"}"#
        );
    }

    #[test]
    fn toml_of_leaves_null_out() {
        let value =
            serde_json::json!({"a": null, "b": [null, 1], "c": 18_446_744_073_709_551_615_u64});
        let found = toml_of(&value).unwrap();
        assert_eq!(found.get("a"), None);
        assert_eq!(found["b"].as_array().unwrap().len(), 1);
        assert!(found["c"].is_float());
        assert_eq!(toml_of(&serde_json::Value::Null), None);
    }
}
