//! The JSON Schema of the file, generated from the written form.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema as _, Schema};
use serde_json::{Map, Value, json};

use super::written::File;

/// [`schema`], generated once.
pub(super) static SCHEMA: LazyLock<Value> = LazyLock::new(schema);

/// The schema (draft-07) that editors complete and check by.
///
/// It is inlined: a hundred lines more, but everyone who walks it, an editor as well as our own search for unknown keys,
/// finds each key under its parent.
pub(crate) fn schema() -> Value {
    let settings = SchemaSettings::draft07().for_deserialize().with(|s| {
        s.inline_subschemas = true;
        s.transforms.push(Box::new(RecursiveTransform(without_null)));
        s.transforms.push(Box::new(RecursiveTransform(on_one_line)));
    });
    let mut schema = settings.into_generator().into_root_schema_for::<File>();
    schema.insert("title".into(), json!(File::schema_name()));
    schema.to_value()
}

/// TOML has no null: a key is there or left out.
fn without_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            object.insert("type".into(), one);
        }
    }
    if let Some(Value::Array(choices)) = object.get_mut("enum") {
        choices.retain(|choice| !choice.is_null());
    }
    if let Some(Value::Array(variants)) = object.get_mut("anyOf") {
        variants.retain(|variant| variant.get("type") != Some(&json!("null")));
        if let [Value::Object(one)] = variants.as_mut_slice() {
            let one = std::mem::take(one);
            object.remove("anyOf");
            merge(object, one);
        }
    }
}

/// What the outer schema says about a key goes before what its type says.
fn merge(outer: &mut Map<String, Value>, inner: Map<String, Value>) {
    for (key, value) in inner {
        outer.entry(key).or_insert(value);
    }
}

/// The line breaks of a doc comment mean nothing.
fn on_one_line(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    }
}

const _: fn() = || {
    fn is_a_transform(_: impl Transform) {}
    is_a_transform(without_null);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_says_what_it_is_and_no_key_may_be_null() {
        let schema = schema();
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        let text = schema.to_string();
        assert!(!text.contains("null") && !text.contains("$ref"), "{text}");
        let mut keys = 0;
        walk(&schema, "", &mut |path, key| {
            keys += 1;
            assert!(
                key["description"].as_str().is_some_and(|text| text.len() > 10),
                "{path} has no description"
            );
        });
        assert!(keys > 80, "only {keys} keys");
    }

    fn walk(schema: &Value, path: &str, see: &mut impl FnMut(&str, &Value)) {
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            see(&path, value);
            walk(value, &path, see);
            walk(&value["items"], &path, see);
            walk(&value["additionalProperties"], &path, see);
        }
    }
}
