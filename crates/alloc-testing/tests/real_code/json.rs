//! JSON values in memory of an allocator: serde_json reads the text and tells what it finds; where a value
//! goes is decided here. What the parser itself needs (the text of an error, an escaped string) comes from
//! the global allocator, which no check here makes fail.

use std::fmt;

use alloc_core::{AllocatorExt, Owned};
use allocator_api2_02::vec::Vec;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// What values take their memory from.
pub(crate) trait Memory:
    alloc_core::Allocator + allocator_api2_02::alloc::Allocator + Copy
{
}

impl<A: alloc_core::Allocator + allocator_api2_02::alloc::Allocator + Copy> Memory for A {}

/// A value that was read.
pub(crate) enum Value<A: Memory> {
    Null,
    Bool(bool),
    Number(f64),
    Text(Owned<str, A>),
    List(Vec<Value<A>, A>),
    Map(Vec<(Owned<str, A>, Value<A>), A>),
}

impl<A: Memory> Value<A> {
    /// Counts the values, with those inside.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::List(list) => 1 + list.iter().map(Self::count).sum::<usize>(),
            Self::Map(map) => 1 + map.iter().map(|(_, value)| value.count()).sum::<usize>(),
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::Text(_) => 1,
        }
    }

    /// Writes the value as the parser would read it again.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(value) => out.push_str(&value.to_string()),
            Self::Text(text) => out.push_str(&format!("{:?}", &**text)),
            Self::List(list) => {
                for (index, value) in list.iter().enumerate() {
                    out.push_str(if index == 0 { "[" } else { ", " });
                    value.write(out);
                }
                out.push(']');
            }
            Self::Map(map) => {
                for (index, (key, value)) in map.iter().enumerate() {
                    out.push_str(if index == 0 { "{" } else { ", " });
                    out.push_str(&format!("{:?}: ", &**key));
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// A text of so many records: each is a map of a name, a number, a list of two, and a flag.
pub(crate) fn document(records: usize) -> String {
    let record = |index: usize| {
        format!(
            "{{\"name\": \"record {index}\", \"size\": {index}.5, \"tags\": [\"a{index}\", null], \
             \"on\": true}}"
        )
    };
    let records: std::vec::Vec<String> = (0..records).map(record).collect();
    format!("[{}]", records.join(", "))
}

/// Reads a text into memory of this allocator.
pub(crate) fn parse<A: Memory>(text: &str, alloc: A) -> Result<Value<A>, serde_json::Error> {
    Reader(alloc).deserialize(&mut serde_json::Deserializer::from_str(text))
}

/// Makes the next value of what it is told.
#[derive(Clone, Copy)]
struct Reader<A>(A);

impl<'de, A: Memory> DeserializeSeed<'de> for Reader<A> {
    type Value = Value<A>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value<A>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, A: Memory> Visitor<'de> for Reader<A> {
    type Value = Value<A>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value<A>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value<A>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value<A>, E> {
        Ok(Value::Number(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value<A>, E> {
        self.0.dupe_str(text).map(Value::Text).map_err(E::custom)
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<Value<A>, S::Error> {
        let mut list = Vec::new_in(self.0);
        while let Some(value) = items.next_element_seed(self)? {
            list.try_reserve(1).map_err(S::Error::custom)?;
            list.push(value);
        }
        Ok(Value::List(list))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut pairs: M) -> Result<Value<A>, M::Error> {
        let mut map = Vec::new_in(self.0);
        while let Some(key) = pairs.next_key::<&str>()? {
            let key = self.0.dupe_str(key).map_err(M::Error::custom)?;
            let value = pairs.next_value_seed(self)?;
            map.try_reserve(1).map_err(M::Error::custom)?;
            map.push((key, value));
        }
        Ok(Value::Map(map))
    }
}
