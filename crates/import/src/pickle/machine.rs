//! A pickle's instructions, as far as `torch.save` writes them for tensors (protocol 2; Python's `pickletools` names and
//! explains each). Nothing is run: a name in the pickle is looked up in a list, and what is on it is known here.
//!
//! Every value lies once in a list and is meant by its place there: what is remembered and used again is not copied,
//! and nothing is nested, so that neither memory nor depth grow beyond the pickle's own length.

/// Why a pickle is not read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Fault {
    /// It names something to be run.
    Code(String),
    /// It is no pickle of tensors.
    Damaged(String),
}

/// A value by its place.
pub(super) type Id = usize;

/// What a pickle makes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    Integer(i64),
    Boolean,
    /// Numbers, `None` and whatever says nothing about tensors.
    Other,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dictionary(Vec<(Id, Id)>),
    Name(Name),
    Storage(Storage),
    Tensor(Tensor),
}

/// The names that may stand in a pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Kind),
    /// Something that is made and says nothing about tensors.
    Ignored,
}

/// The type of a storage's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Double,
    Half,
    BFloat16,
    /// No floats.
    Integers,
}

impl Kind {
    /// Bytes of a float; `None` for other numbers.
    pub(super) fn float_size(self) -> Option<usize> {
        match self {
            Self::Float => Some(4),
            Self::Double => Some(8),
            Self::Half | Self::BFloat16 => Some(2),
            Self::Integers => None,
        }
    }
}

/// Where a tensor's numbers are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Storage {
    pub(super) kind: Kind,
    pub(super) key: String,
}

/// A view of a storage.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) storage: Storage,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

impl Name {
    fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict" | "defaultdict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "FloatStorage") => Self::Storage(Kind::Float),
            ("torch", "DoubleStorage") => Self::Storage(Kind::Double),
            ("torch", "HalfStorage") => Self::Storage(Kind::Half),
            ("torch", "BFloat16Storage") => Self::Storage(Kind::BFloat16),
            (
                "torch",
                "LongStorage" | "IntStorage" | "ShortStorage" | "CharStorage" | "ByteStorage" | "BoolStorage",
            ) => Self::Storage(Kind::Integers),
            ("torch", "Size" | "device") => Self::Ignored,
            _ => return None,
        })
    }
}

/// A pickle that was read.
#[derive(Debug)]
pub(super) struct Machine {
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack at which marks lie.
    marks: Vec<usize>,
    memo: std::collections::HashMap<u32, Id>,
}

impl Machine {
    /// Reads `pickle` to its end.
    pub(super) fn run(pickle: &[u8]) -> Result<Self, Fault> {
        let mut machine = Self {
            values: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: std::collections::HashMap::new(),
        };
        let mut input = Input { bytes: pickle, at: 0 };
        while machine.step(&mut input)? {}
        match machine.stack[..] {
            [_] => Ok(machine),
            _ => Err(damaged("it ends with something else than one value")),
        }
    }

    pub(super) fn value(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// The value that was made at the end.
    pub(super) fn result(&self) -> Id {
        self.stack[0]
    }

    fn push(&mut self, value: Value) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Result<Id, Fault> {
        // What lies below a mark is not taken.
        match self.marks.last().is_some_and(|&mark| self.stack.len() <= mark) {
            true => Err(damaged("a value is missing after a mark")),
            false => self.stack.pop().ok_or_else(|| damaged("a value is missing")),
        }
    }

    fn top(&self) -> Result<Id, Fault> {
        self.stack.last().copied().ok_or_else(|| damaged("a value is missing"))
    }

    fn since_mark(&mut self) -> Result<Vec<Id>, Fault> {
        let mark = self.marks.pop().ok_or_else(|| damaged("a mark is missing"))?;
        if mark > self.stack.len() {
            return Err(damaged("values below a mark were taken"));
        }
        Ok(self.stack.split_off(mark))
    }

    fn tuple(&mut self, count: usize) -> Result<(), Fault> {
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Value::Tuple(items));
        Ok(())
    }

    /// One instruction; false after the last.
    fn step(&mut self, input: &mut Input<'_>) -> Result<bool, Fault> {
        match input.byte()? {
            0x80 => match input.byte()? {
                2..=5 => {}
                version => return Err(damaged(&format!("protocol {version}; allowed: 2 to 5"))),
            },
            b'.' => return Ok(false),
            // Frames of protocol 4 say how long what follows is; it is read as it comes.
            0x95 => {
                input.take(8)?;
            }
            b'c' => {
                let (module, name) = (input.line()?, input.line()?);
                match Name::find(module, name) {
                    Some(name) => self.push(Value::Name(name)),
                    None => return Err(Fault::Code(format!("{module}.{name}"))),
                }
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(name), Value::Text(module)) = (&self.values[name], &self.values[module])
                else {
                    return Err(damaged("a name is no text"));
                };
                match Name::find(module, name) {
                    Some(name) => self.push(Value::Name(name)),
                    None => return Err(Fault::Code(format!("{module}.{name}"))),
                }
            }
            b'i' | b'o' => return Err(Fault::Code("an object by an old instruction".to_owned())),
            b'q' => self.remember(input.byte()?.into())?,
            b'r' => {
                let place = u32::from_le_bytes(input.word()?);
                self.remember(place)?;
            }
            0x94 => {
                let place = u32::try_from(self.memo.len()).unwrap_or(u32::MAX);
                self.remember(place)?;
            }
            b'h' => self.recall(input.byte()?.into())?,
            b'j' => {
                let place = u32::from_le_bytes(input.word()?);
                self.recall(place)?;
            }
            b'(' => self.marks.push(self.stack.len()),
            b')' => self.push(Value::Tuple(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dictionary(Vec::new())),
            b't' => {
                let items = self.since_mark()?;
                self.push(Value::Tuple(items));
            }
            b'l' => {
                let items = self.since_mark()?;
                self.push(Value::List(items));
            }
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b'N' => self.push(Value::Other),
            0x88 | 0x89 => self.push(Value::Boolean),
            b'J' => {
                let number = i32::from_le_bytes(input.word()?);
                self.push(Value::Integer(number.into()));
            }
            b'K' => {
                let number = input.byte()?;
                self.push(Value::Integer(number.into()));
            }
            b'M' => {
                let number = u16::from_le_bytes(input.word()?);
                self.push(Value::Integer(number.into()));
            }
            0x8a => {
                let length = input.byte()?.into();
                let bytes = input.take(length)?;
                self.push(integer(bytes));
            }
            b'G' => {
                input.take(8)?;
                self.push(Value::Other);
            }
            b'X' => {
                let length = u32::from_le_bytes(input.word()?);
                self.text(input, length as usize)?;
            }
            0x8c => {
                let length = input.byte()?.into();
                self.text(input, length)?;
            }
            b'B' => {
                let length = u32::from_le_bytes(input.word()?);
                input.take(length as usize)?;
                self.push(Value::Other);
            }
            b'C' => {
                let length = input.byte()?.into();
                input.take(length)?;
                self.push(Value::Other);
            }
            b'0' => {
                self.pop()?;
            }
            b'Q' => self.storage()?,
            b'R' | 0x81 => {
                let (arguments, name) = (self.pop()?, self.pop()?);
                let made = self.make(name, arguments)?;
                self.push(made);
            }
            b'b' => {
                // The state of an object: an ordered dictionary's `_metadata`, nothing about tensors.
                self.pop()?;
                self.top()?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.set(items)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.append(items)?;
            }
            other => {
                return Err(damaged(&format!(
                    "instruction {other:#04x} at byte {} is not read",
                    input.at - 1
                )));
            }
        }
        Ok(true)
    }

    fn text(&mut self, input: &mut Input<'_>, length: usize) -> Result<(), Fault> {
        let text = std::str::from_utf8(input.take(length)?).map_err(|_| damaged("a text is no UTF-8"))?;
        self.push(Value::Text(text.to_owned()));
        Ok(())
    }

    fn remember(&mut self, place: u32) -> Result<(), Fault> {
        let top = self.top()?;
        self.memo.insert(place, top);
        Ok(())
    }

    fn recall(&mut self, place: u32) -> Result<(), Fault> {
        let id = *self.memo.get(&place).ok_or_else(|| damaged("a value is remembered that never was"))?;
        self.stack.push(id);
        Ok(())
    }

    /// Adds keys and values in turn to the dictionary on top.
    fn set(&mut self, items: Vec<Id>) -> Result<(), Fault> {
        let top = self.top()?;
        if !items.len().is_multiple_of(2) {
            return Err(damaged("a key has no value"));
        }
        match &mut self.values[top] {
            Value::Dictionary(dictionary) => {
                dictionary.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
                Ok(())
            }
            _ => Err(damaged("a key is set in what is no dictionary")),
        }
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), Fault> {
        let top = self.top()?;
        match &mut self.values[top] {
            Value::List(list) => {
                list.extend(items);
                Ok(())
            }
            _ => Err(damaged("a value is appended to what is no list")),
        }
    }

    /// `("storage", type, key, device, length)` becomes a storage.
    fn storage(&mut self) -> Result<(), Fault> {
        let id = self.pop()?;
        let storage = match &self.values[id] {
            Value::Tuple(parts) => match parts[..] {
                [what, kind, key, ..] => match [what, kind, key].map(|id| &self.values[id]) {
                    [Value::Text(what), Value::Name(Name::Storage(kind)), Value::Text(key)]
                        if what == "storage" && key.len() <= 64 =>
                    {
                        Some(Storage { kind: *kind, key: key.clone() })
                    }
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        self.push(Value::Storage(
            storage.ok_or_else(|| damaged("a storage is not described as PyTorch does"))?,
        ));
        Ok(())
    }

    fn make(&self, name: Id, arguments: Id) -> Result<Value, Fault> {
        let Value::Name(name) = self.values[name] else {
            return Err(damaged("something is called that is no name"));
        };
        let Value::Tuple(arguments) = &self.values[arguments] else {
            return Err(damaged("a name is called without arguments"));
        };
        match name {
            Name::OrderedDict => Ok(Value::Dictionary(Vec::new())),
            Name::RebuildTensor => self.tensor(arguments).map(Value::Tensor),
            Name::RebuildParameter => match arguments.first().map(|&id| &self.values[id]) {
                Some(Value::Tensor(tensor)) => Ok(Value::Tensor(tensor.clone())),
                _ => Err(damaged("a parameter is no tensor")),
            },
            Name::Ignored => Ok(Value::Other),
            Name::Storage(_) => Err(damaged("a storage is called")),
        }
    }

    /// `(storage, offset, shape, strides, ...)`.
    fn tensor(&self, arguments: &[Id]) -> Result<Tensor, Fault> {
        let fault = || damaged("a tensor is not described as PyTorch does");
        let [storage, offset, shape, strides, ..] = arguments else { return Err(fault()) };
        let Value::Storage(storage) = &self.values[*storage] else { return Err(fault()) };
        let number = |&id: &Id| match self.values[id] {
            Value::Integer(number) => usize::try_from(number).ok(),
            _ => None,
        };
        let numbers = |id: Id| match &self.values[id] {
            Value::Tuple(items) if items.len() <= 8 => items.iter().map(number).collect::<Option<Vec<_>>>(),
            _ => None,
        };
        match (number(offset), numbers(*shape), numbers(*strides)) {
            (Some(offset), Some(shape), Some(strides)) => {
                Ok(Tensor { storage: storage.clone(), offset, shape, strides })
            }
            _ => Err(fault()),
        }
    }
}

/// A little-endian number of any length; of more than 8 bytes it is no size.
fn integer(bytes: &[u8]) -> Value {
    if bytes.len() > 8 {
        return Value::Other;
    }
    let sign = if bytes.last().is_some_and(|&last| last >= 0x80) { 0xFF } else { 0 };
    let mut word = [sign; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    Value::Integer(i64::from_le_bytes(word))
}

fn damaged(reason: &str) -> Fault {
    Fault::Damaged(reason.to_owned())
}

struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Fault> {
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        self.at = self.at.saturating_add(count);
        taken.ok_or_else(|| damaged("it ends in the middle of an instruction"))
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.take(1)?[0])
    }

    fn word<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        Ok(self.take(N)?.try_into().expect("as many bytes as were taken"))
    }

    fn line(&mut self) -> Result<&'a str, Fault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == b'\n');
        let line = self.take(end.ok_or_else(|| damaged("a name has no end"))?)?;
        self.at += 1;
        std::str::from_utf8(line).map_err(|_| damaged("a name is no UTF-8"))
    }
}
