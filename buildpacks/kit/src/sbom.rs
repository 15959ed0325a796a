//! What a layer holds as a CycloneDX 1.5 bill of materials, without time or serial number: the same set gives the same bytes.
//! <https://cyclonedx.org/docs/1.5/json/>

use serde_json::{Value, json};

/// One thing in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// `dash`
    pub name: String,
    /// `3.0.4`
    pub version: String,
    /// `pypi/dash`, `deb/debian/python3.13`: a package URL's type, namespace and name.
    pub kind: String,
    /// Where it came from, where that is no index.
    pub url: Option<String>,
}

/// The whole document.
pub fn cyclonedx(components: &[Component]) -> Vec<u8> {
    let document = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "components": components.iter().map(entry).collect::<Vec<_>>(),
    });
    let mut bytes = serde_json::to_vec_pretty(&document).expect("a JSON value can be written");
    bytes.push(b'\n');
    bytes
}

fn entry(component: &Component) -> Value {
    let Component {
        name,
        version,
        kind,
        url,
    } = component;
    // The purl specification percent-encodes versions; `+`, `:` and `~` are the ones that occur.
    let encoded = version
        .replace('+', "%2B")
        .replace(':', "%3A")
        .replace('~', "%7E");
    let purl = format!("pkg:{kind}@{encoded}");
    let mut entry = json!({
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": version,
        "purl": purl,
    });
    if let Some(url) = url {
        entry["externalReferences"] = json!([{ "type": "distribution", "url": url }]);
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cyclonedx_in_full() {
        let components = [Component {
            name: "torch".into(),
            version: "2.0+cpu".into(),
            kind: "pypi/torch".into(),
            url: Some("https://h/torch.whl".into()),
        }];
        insta::assert_snapshot!(String::from_utf8(cyclonedx(&components)).unwrap(), @r#"
        {
          "bomFormat": "CycloneDX",
          "components": [
            {
              "bom-ref": "pkg:pypi/torch@2.0%2Bcpu",
              "externalReferences": [
                {
                  "type": "distribution",
                  "url": "https://h/torch.whl"
                }
              ],
              "name": "torch",
              "purl": "pkg:pypi/torch@2.0%2Bcpu",
              "type": "library",
              "version": "2.0+cpu"
            }
          ],
          "specVersion": "1.5",
          "version": 1
        }
        "#);
    }
}
