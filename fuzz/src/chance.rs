//! How a real input becomes one that nobody meant.

use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::Sample;

/// The choices behind one input.
#[derive(Debug)]
pub struct Chance(Rng);

/// What parsers stumble over, and words of our own that mean something somewhere.
const TEXTS: [&str; 40] = [
    "",
    " ",
    "\0",
    "\n",
    "\r\n",
    "\u{1b}[31m",
    "\u{7f}",
    "\u{202e}",
    "\u{feff}",
    "\u{2028}",
    "İ",
    "ß",
    "ﬁ",
    "é\u{301}\u{301}\u{301}",
    "👩‍👩‍👧",
    "\u{10ffff}",
    "\u{fffd}",
    "../../etc/passwd",
    "..\\..\\x",
    "%00%2f",
    "/x.safetensors",
    "http://[::1",
    "\"",
    "\\",
    "'",
    "`",
    "{prompt}",
    "{a|b",
    "}",
    "|",
    "#ff8800",
    "\\#",
    "<lora:x:9e999>",
    "<layer:",
    "lang:de ",
    "(a:1e9)",
    "NaN",
    "-1",
    "input:0",
    "null",
];

/// What does not survive serialising, and so is put into the text.
const SCRAPS: [&[u8]; 20] = [
    b"\xff",
    b"\xc3",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\0",
    b"\\ud800",
    b"\\ud800\\udc00",
    b"\\u0000",
    b"\\",
    b"\"",
    b"1e999",
    b"-0",
    b"1e-999",
    b"18446744073709551616",
    b"NaN",
    b"-Infinity",
    b",",
    b"//",
    b"[",
    b"{\"a\":",
];

const NUMBERS: [i64; 19] = [
    -1,
    0,
    1,
    2,
    7,
    8,
    64,
    255,
    256,
    4096,
    16_384,
    65_536,
    (1 << 31) - 1,
    1 << 31,
    u32::MAX as i64,
    1 << 53,
    i64::MAX - 1,
    i64::MAX,
    i64::MIN,
];

impl Chance {
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        Self(Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number))
    }

    /// One of these.
    pub fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.0.usize(..of.len())]
    }

    /// One in so many times.
    pub fn seldom(&mut self, times: u32) -> bool {
        self.0.u32(..times) == 0
    }

    /// Below this.
    pub fn below(&mut self, end: usize) -> usize {
        self.0.usize(..end.max(1))
    }

    /// A number that is on a limit, or any.
    pub fn number(&mut self) -> u64 {
        if self.seldom(3) {
            self.0.u64(..) >> self.0.u32(..64)
        } else {
            self.one(&NUMBERS).cast_unsigned()
        }
    }

    /// A text that is hard to read, seldom a long one.
    pub fn text(&mut self) -> String {
        let words = if self.seldom(100) { 3000 } else { 6 };
        let words = self.0.usize(..words);
        (0..words).map(|_| *self.one(&TEXTS)).collect()
    }

    /// JSON as bytes: one of these with other values, and now and then with other bytes, too.
    pub fn json(&mut self, of: &[Value]) -> Sample {
        let value = self.value(of);
        let mut bytes = value.to_string().into_bytes();
        if self.seldom(3) {
            let other = self.one(of).to_string().into_bytes();
            self.scar(&mut bytes, &other);
        }
        Sample(bytes)
    }

    /// One of these with other values.
    pub fn value(&mut self, of: &[Value]) -> Value {
        let mut value = self.one(of).clone();
        for _ in 0..self.0.u32(..4) {
            let other = self.one(of);
            let other = nth(other, &mut self.below(count(other))).cloned();
            self.damage(&mut value, other.unwrap_or_default());
        }
        value
    }

    /// One of these with other bytes.
    pub fn bytes(&mut self, of: &[impl AsRef<[u8]>]) -> Sample {
        let mut bytes = self.one(of).as_ref().to_vec();
        let other = self.one(of).as_ref();
        self.scar(&mut bytes, other);
        Sample(bytes)
    }

    /// Changes one place of a value; `other` may take it.
    pub fn damage(&mut self, value: &mut Value, other: Value) {
        let mut place = self.below(count(value));
        let Some(place) = nth_mut(value, &mut place) else {
            return;
        };
        match self.0.u32(..10) {
            0 => *place = other,
            1 => *place = self.odd(),
            2 => *place = self.nested(place.take()),
            _ => match place {
                Value::Object(map) => self.damage_map(map, other),
                Value::Array(list) => self.damage_list(list, other),
                Value::String(text) => self.damage_text(text),
                Value::Number(number) => {
                    let changed = match number.as_i64() {
                        Some(whole) if self.seldom(2) => json!(whole.wrapping_add(*self.one(&[-1, 1, 8, -8]))),
                        _ => self.odd_number(),
                    };
                    *place = changed;
                }
                Value::Null | Value::Bool(_) => *place = self.odd(),
            },
        }
    }

    fn damage_map(&mut self, map: &mut Map<String, Value>, other: Value) {
        let key = match map.len() {
            0 => String::new(),
            length => map.keys().nth(self.below(length)).cloned().unwrap_or_default(),
        };
        match self.0.u32(..4) {
            0 => drop(map.remove(&key)),
            1 => drop(map.insert(key, other)),
            2 => {
                let value = map.remove(&key).unwrap_or(other);
                map.insert(self.text(), value);
            }
            _ => drop(map.insert(key, self.odd())),
        }
    }

    fn damage_list(&mut self, list: &mut Vec<Value>, other: Value) {
        let length = list.len();
        match self.0.u32(..5) {
            0 => drop(list.pop()),
            1 => list.insert(self.below(length + 1), other),
            2 => list.reverse(),
            3 if length > 0 => {
                let times = self.times();
                let element = list[self.below(length)].clone();
                list.extend(std::iter::repeat_n(element, times));
            }
            _ => list.push(self.odd()),
        }
    }

    fn damage_text(&mut self, text: &mut String) {
        let ends = || text.char_indices().map(|(at, _)| at).chain([text.len()]);
        let place = self.below(ends().count());
        let place = ends().nth(place).unwrap_or_default();
        match self.0.u32(..5) {
            0 => text.truncate(place),
            1 => drop(text.drain(..place)),
            2 if text.len() < 1000 => *text = text.repeat(self.times()),
            3 => *text = self.text(),
            _ => text.insert_str(place, &self.text()),
        }
    }

    /// How often something is repeated: mostly a few times, seldom very often.
    fn times(&mut self) -> usize {
        let most = if self.seldom(50) { 3000 } else { 20 };
        self.0.usize(..most)
    }

    fn odd(&mut self) -> Value {
        match self.0.u32(..8) {
            0 => Value::Null,
            1 => self.0.bool().into(),
            2 => json!([]),
            3 => json!({}),
            4 => json!([0, 0]),
            5 => self.text().into(),
            _ => self.odd_number(),
        }
    }

    fn odd_number(&mut self) -> Value {
        match self.0.u32(..6) {
            0 => self.number().into(),
            1 => json!(f64::from_bits(self.0.u64(..))),
            2 => (*self.one(&[0.5, -0.0, 1e-320, 1e308, 1e18, 1.000_000_1])).into(),
            _ => self.number().cast_signed().into(),
        }
    }

    fn nested(&mut self, mut value: Value) -> Value {
        for _ in 0..self.times().min(200) {
            value = json!([value]);
        }
        value
    }

    /// Changes some bytes; `other` is where a piece may come from.
    fn scar(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.0.u32(..3) {
            let (from, to) = (self.below(bytes.len() + 1), self.below(bytes.len() + 1));
            let range = from.min(to)..from.max(to);
            match self.0.u32(..10) {
                0 => bytes.truncate(from),
                1 => drop(bytes.drain(range)),
                2 if bytes.len() < 20_000 => {
                    let piece = bytes[range].repeat(self.times().min(20));
                    bytes.splice(to..to, piece);
                }
                3 => {
                    let start = self.below(other.len() + 1);
                    bytes.splice(from.., other[start..].iter().copied());
                }
                4 => drop(bytes.splice(range.clone(), other.iter().copied().skip(from).take(range.len()))),
                5 => {
                    let scrap = self.one(&SCRAPS).repeat(self.times());
                    bytes.splice(from..from, scrap);
                }
                6 => self.twice(bytes),
                7 => {
                    let number = self.number();
                    let number = if self.0.bool() {
                        number.to_le_bytes()
                    } else {
                        number.to_be_bytes()
                    };
                    let width = *self.one(&[1, 2, 4, 8]);
                    let number = if self.0.bool() {
                        &number[..width]
                    } else {
                        &number[8 - width..]
                    };
                    let end = (from + width).min(bytes.len());
                    bytes.splice(from..end, number.iter().copied());
                }
                _ if from < bytes.len() => bytes[from] ^= 1 << self.0.u32(..8),
                _ => bytes.push(self.0.u8(..)),
            }
        }
    }

    /// Names a key of a JSON text a second time.
    fn twice(&mut self, json: &mut Vec<u8>) {
        let keys = || {
            json.windows(2)
                .enumerate()
                .filter(|(_, it)| it == b"\":")
                .map(|(at, _)| at)
        };
        let Some(end) = keys().nth(self.below(keys().count())) else {
            return;
        };
        let start = json[..end].iter().rposition(|byte| *byte == b'"').unwrap_or_default();
        let again = [&json[start..=end], b":", self.odd().to_string().as_bytes(), b","].concat();
        json.splice(start..start, again);
    }
}

/// How many places a value has, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(map) => map.values().map(count).sum(),
        Value::Array(list) => list.iter().map(count).sum(),
        _ => 0,
    }
}

/// The value at a place; the whole comes first.
fn nth<'a>(value: &'a Value, place: &mut usize) -> Option<&'a Value> {
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Value::Object(map) => map.values().find_map(|it| nth(it, place)),
        Value::Array(list) => list.iter().find_map(|it| nth(it, place)),
        _ => None,
    }
}

fn nth_mut<'a>(value: &'a mut Value, place: &mut usize) -> Option<&'a mut Value> {
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Value::Object(map) => map.values_mut().find_map(|it| nth_mut(it, place)),
        Value::Array(list) => list.iter_mut().find_map(|it| nth_mut(it, place)),
        _ => None,
    }
}
