//! A small GGUF writer, for tests only.

/// A metadata value.
pub enum Item {
    U32(u32),
    F32(f32),
    Bool(bool),
    Text(&'static str),
    Texts(Vec<&'static str>),
    I32s(Vec<i32>),
    F32s(Vec<f32>),
    /// A type number and the bytes that follow it.
    Raw(u32, Vec<u8>),
}

/// A file under construction. The defaults make a valid file of the pieces given.
pub struct GgufWriter {
    pub version: u32,
    pub alignment: usize,
    pub items: Vec<(String, Item)>,
    pub tensors: Vec<GgufTensor>,
}

/// A tensor with the file's dimensions: the contiguous one first.
pub struct GgufTensor {
    pub name: String,
    pub dims: Vec<u64>,
    pub kind: u32,
    pub bytes: Vec<u8>,
}

impl GgufWriter {
    pub fn new() -> Self {
        Self { version: 3, alignment: 32, items: Vec::new(), tensors: Vec::new() }
    }

    pub fn item(mut self, key: &str, item: Item) -> Self {
        self.items.push((key.to_owned(), item));
        self
    }

    pub fn tensor(mut self, name: &str, dims: &[u64], kind: u32, bytes: Vec<u8>) -> Self {
        self.tensors.push(GgufTensor { name: name.to_owned(), dims: dims.to_vec(), kind, bytes });
        self
    }

    /// Float32 counting up from `first`.
    pub fn ramp(self, name: &str, dims: &[u64], first: f32) -> Self {
        let count: u64 = dims.iter().product();
        let bytes = (0..count).flat_map(|i| (first + i as f32).to_le_bytes()).collect();
        self.tensor(name, dims, 0, bytes)
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.fields().into_iter().flat_map(|field| field.bytes).collect()
    }

    /// The file field by field.
    pub fn fields(&self) -> Vec<Field> {
        let mut out = Fields { list: Vec::new(), group: 0 };
        out.add(Role::Magic, b"GGUF");
        out.add(Role::Version, self.version.to_le_bytes());
        out.add(Role::Count, (self.tensors.len() as u64).to_le_bytes());
        out.add(Role::Count, (self.items.len() as u64).to_le_bytes());
        let mut offset = 0_usize;
        for (key, item) in &self.items {
            out.group += 1;
            out.text(key);
            out.item(item);
        }
        for tensor in &self.tensors {
            out.group += 1;
            out.text(&tensor.name);
            out.add(Role::Dimensions, (tensor.dims.len() as u32).to_le_bytes());
            for dim in &tensor.dims {
                out.add(Role::Dimension, dim.to_le_bytes());
            }
            out.add(Role::TensorKind, tensor.kind.to_le_bytes());
            out.add(Role::Offset, (offset as u64).to_le_bytes());
            offset = (offset + tensor.bytes.len()).next_multiple_of(self.alignment);
        }
        out.group = 0;
        let mut position: usize = out.list.iter().map(|field| field.bytes.len()).sum();
        for tensor in &self.tensors {
            let padding = position.next_multiple_of(self.alignment) - position;
            out.add(Role::Data, vec![0; padding]);
            out.add(Role::Data, tensor.bytes.as_slice());
            position += padding + tensor.bytes.len();
        }
        out.list
    }
}

/// What a field of the file means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Magic,
    Version,
    /// How many tensors, how many pairs.
    Count,
    /// Length of a string or of an array; the string's text follows it.
    Length,
    Text,
    /// Type of a value or of an array's elements.
    Kind,
    /// A value, or the values of an array.
    Number,
    /// How many dimensions.
    Dimensions,
    Dimension,
    TensorKind,
    Offset,
    Data,
}

/// A piece of the file.
#[derive(Clone, Debug)]
pub struct Field {
    pub role: Role,
    /// The pair or tensor row it belongs to, from 1; 0 for the head and the data.
    pub group: u32,
    pub bytes: Vec<u8>,
}

impl Field {
    /// Its first eight bytes as a number.
    pub fn number(&self) -> u64 {
        let mut array = [0; 8];
        let width = self.bytes.len().min(8);
        array[..width].copy_from_slice(&self.bytes[..width]);
        u64::from_le_bytes(array)
    }
}

struct Fields {
    list: Vec<Field>,
    group: u32,
}

impl Fields {
    fn add(&mut self, role: Role, bytes: impl AsRef<[u8]>) {
        self.list.push(Field { role, group: self.group, bytes: bytes.as_ref().to_vec() });
    }

    fn text(&mut self, text: &str) {
        self.add(Role::Length, (text.len() as u64).to_le_bytes());
        self.add(Role::Text, text);
    }

    fn array(&mut self, kind: u32, count: usize) {
        self.add(Role::Kind, 9_u32.to_le_bytes());
        self.add(Role::Kind, kind.to_le_bytes());
        self.add(Role::Length, (count as u64).to_le_bytes());
    }

    fn scalar(&mut self, kind: u32, bytes: &[u8]) {
        self.add(Role::Kind, kind.to_le_bytes());
        self.add(Role::Number, bytes);
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::U32(number) => self.scalar(4, &number.to_le_bytes()),
            Item::F32(number) => self.scalar(6, &number.to_le_bytes()),
            Item::Bool(flag) => self.scalar(7, &[u8::from(*flag)]),
            Item::Text(value) => {
                self.add(Role::Kind, 8_u32.to_le_bytes());
                self.text(value);
            }
            Item::Texts(values) => {
                self.array(8, values.len());
                for value in values {
                    self.text(value);
                }
            }
            Item::I32s(values) => {
                self.array(5, values.len());
                self.add(Role::Number, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
            }
            Item::F32s(values) => {
                self.array(6, values.len());
                self.add(Role::Number, values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
            }
            Item::Raw(kind, bytes) => self.scalar(*kind, bytes),
        }
    }
}

/// A one-layer model of hidden size 32, two query heads and one key head of 16, 8 tokens, no head of its own.
pub fn tiny(architecture: &'static str) -> GgufWriter {
    let key = |key: &str| format!("{architecture}.{key}");
    GgufWriter::new()
        .item("general.architecture", Item::Text(architecture))
        .item(&key("context_length"), Item::U32(256))
        .item(&key("embedding_length"), Item::U32(32))
        .item(&key("block_count"), Item::U32(1))
        .item(&key("feed_forward_length"), Item::U32(64))
        .item(&key("attention.head_count"), Item::U32(2))
        .item(&key("attention.head_count_kv"), Item::U32(1))
        .item(&key("attention.layer_norm_rms_epsilon"), Item::F32(1e-5))
        .item(&key("rope.freq_base"), Item::F32(10_000.0))
        .item(&key("rope.dimension_count"), Item::U32(16))
        .item("tokenizer.ggml.model", Item::Text("gpt2"))
        .item("tokenizer.ggml.pre", Item::Text("smollm"))
        .item("tokenizer.ggml.tokens", Item::Texts(vec!["<s>", "</s>", "a", "b", "ab", "é", "c", "d"]))
        .item("tokenizer.ggml.token_type", Item::I32s(vec![3, 3, 1, 1, 1, 1, 1, 1]))
        .item("tokenizer.ggml.scores", Item::F32s(vec![0.0; 8]))
        .item("tokenizer.ggml.merges", Item::Texts(vec!["a b"]))
        .item("tokenizer.ggml.bos_token_id", Item::U32(0))
        .item("tokenizer.ggml.eos_token_id", Item::U32(1))
        .item("tokenizer.ggml.padding_token_id", Item::U32(u32::MAX))
        .item("tokenizer.ggml.add_bos_token", Item::Bool(false))
        .item("tokenizer.chat_template", Item::Text("{{ messages }}"))
        .ramp("token_embd.weight", &[32, 8], 0.0)
        .ramp("output_norm.weight", &[32], 1.0)
        .ramp("blk.0.attn_norm.weight", &[32], 2.0)
        .ramp("blk.0.ffn_norm.weight", &[32], 3.0)
        .ramp("blk.0.attn_q.weight", &[32, 32], 0.0)
        .ramp("blk.0.attn_k.weight", &[32, 16], 0.0)
        .ramp("blk.0.attn_v.weight", &[32, 16], 0.0)
        .ramp("blk.0.attn_output.weight", &[32, 32], 0.0)
        .ramp("blk.0.ffn_gate.weight", &[32, 64], 0.0)
        .ramp("blk.0.ffn_up.weight", &[32, 64], 0.0)
        .ramp("blk.0.ffn_down.weight", &[64, 32], 0.0)
}
