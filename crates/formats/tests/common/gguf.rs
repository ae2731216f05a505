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
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.items.len() as u64).to_le_bytes());
        for (key, item) in &self.items {
            text(&mut out, key);
            write_item(&mut out, item);
        }
        let mut offset = 0_usize;
        for tensor in &self.tensors {
            text(&mut out, &tensor.name);
            out.extend((tensor.dims.len() as u32).to_le_bytes());
            out.extend(tensor.dims.iter().flat_map(|dim| dim.to_le_bytes()));
            out.extend(tensor.kind.to_le_bytes());
            out.extend((offset as u64).to_le_bytes());
            offset = (offset + tensor.bytes.len()).next_multiple_of(self.alignment);
        }
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(self.alignment), 0);
            out.extend(&tensor.bytes);
        }
        out
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn write_item(out: &mut Vec<u8>, item: &Item) {
    let array = |out: &mut Vec<u8>, kind: u32, count: usize| {
        out.extend(9_u32.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend((count as u64).to_le_bytes());
    };
    match item {
        Item::U32(number) => out.extend([4_u32.to_le_bytes(), number.to_le_bytes()].concat()),
        Item::F32(number) => out.extend([6_u32.to_le_bytes(), number.to_le_bytes()].concat()),
        Item::Bool(flag) => {
            out.extend(7_u32.to_le_bytes());
            out.push(u8::from(*flag));
        }
        Item::Text(value) => {
            out.extend(8_u32.to_le_bytes());
            text(out, value);
        }
        Item::Texts(values) => {
            array(out, 8, values.len());
            for value in values {
                text(out, value);
            }
        }
        Item::I32s(values) => {
            array(out, 5, values.len());
            out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        Item::F32s(values) => {
            array(out, 6, values.len());
            out.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
        Item::Raw(kind, bytes) => {
            out.extend(kind.to_le_bytes());
            out.extend(bytes);
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
