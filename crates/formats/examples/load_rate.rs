//! The loading benchmark's side of Tunesmith: `load_rate write FOLDER` makes model files of random weights, `load_rate load
//! FILE` loads the file once for every line on standard input and answers with a line of JSON.
//!
//! Loading is opening the file and converting every tensor to float32 in memory, on one thread.

use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use tunesmith_formats::{
    F32Tensor, GgufFile, GgufTokenizer, ModelConfig, Quantization, SafetensorsFile, SafetensorsWriter, StoredType,
    TensorSource, TensorSpec, Weights, write_gguf, write_safetensors,
};
use tunesmith_ops::{Code, Error, Result};

const CONFIG: &str = r#"{"model_type":"llama","hidden_size":1024,"intermediate_size":4096,"num_hidden_layers":4,
 "num_attention_heads":16,"num_key_value_heads":16,"vocab_size":8192,"rms_norm_eps":1e-5,"max_position_embeddings":2048,
 "rope_theta":10000.0,"hidden_act":"silu","tie_word_embeddings":true}"#;

/// Random weights of the configured model.
struct Random(Vec<(String, Vec<usize>)>);

impl Random {
    fn new() -> Self {
        let (d, f) = (1024, 4096);
        let mut tensors =
            vec![("model.embed_tokens.weight".to_owned(), vec![8192, d]), ("model.norm.weight".to_owned(), vec![d])];
        for layer in 0..4 {
            for (part, shape) in [
                ("input_layernorm", vec![d]),
                ("post_attention_layernorm", vec![d]),
                ("self_attn.q_proj", vec![d, d]),
                ("self_attn.k_proj", vec![d, d]),
                ("self_attn.v_proj", vec![d, d]),
                ("self_attn.o_proj", vec![d, d]),
                ("mlp.gate_proj", vec![f, d]),
                ("mlp.up_proj", vec![f, d]),
                ("mlp.down_proj", vec![d, f]),
            ] {
                tensors.push((format!("model.layers.{layer}.{part}.weight"), shape));
            }
        }
        tensors.sort();
        Self(tensors)
    }

    fn find(&self, name: &str) -> Result<(u64, &Vec<usize>)> {
        let place = self.0.iter().position(|(known, _)| known == name);
        let place = place.ok_or_else(|| Error::argument("load_rate", "a tensor of the model", name))?;
        Ok((place as u64, &self.0[place].1))
    }
}

impl Weights for Random {
    fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    fn shape(&self, name: &str) -> Result<Vec<usize>> {
        Ok(self.find(name)?.1.clone())
    }

    fn read(&self, name: &str, out: &mut Vec<f32>) -> Result<()> {
        let (seed, shape) = self.find(name)?;
        let mut state = 0x9E37_79B9_7F4A_7C15 ^ (seed + 1);
        out.clear();
        out.extend((0..shape.iter().product()).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            ((state >> 40) as f32 / (1 << 24) as f32 - 0.5) * 0.1
        }));
        Ok(())
    }

    fn contains(&self, name: &str) -> bool {
        self.find(name).is_ok()
    }
}

fn write(folder: &Path) -> Result<()> {
    let weights = Random::new();
    let mut values = Vec::new();
    for name in weights.names() {
        let mut tensor = Vec::new();
        weights.read(&name, &mut tensor)?;
        values.push((name.clone(), weights.shape(&name)?, tensor));
    }
    let tensors = values.iter().map(|(name, shape, data)| F32Tensor { name: name.clone(), shape: shape.clone(), data });
    write_safetensors(&folder.join("model-f32.safetensors"), &tensors.collect::<Vec<_>>())?;
    let spec = |name: &String, shape: &Vec<usize>| TensorSpec {
        name: name.clone(),
        stored: StoredType::Bf16,
        shape: shape.clone(),
    };
    let specs = values.iter().map(|(name, shape, _)| spec(name, shape)).collect();
    let mut file = SafetensorsWriter::create(&folder.join("model-bf16.safetensors"), specs)?;
    for (name, _, data) in &values {
        let bytes: Vec<u8> = data.iter().flat_map(|&value| half::bf16::from_f32(value).to_le_bytes()).collect();
        file.write(name, &bytes)?;
    }
    file.finish()?;
    let json = serde_json::from_str(CONFIG).map_err(|error| Error::argument("load_rate", "JSON", error))?;
    let config = ModelConfig::from_json(Path::new("config.json"), json)?;
    let tokenizer = GgufTokenizer {
        model: "gpt2".to_owned(),
        pre: Some("smollm".to_owned()),
        tokens: (0..8192).map(|id| format!("t{id}")).collect(),
        token_types: vec![1; 8192],
        ..GgufTokenizer::default()
    };
    for (name, kind) in [("f16", Quantization::F16), ("q8_0", Quantization::Q8_0), ("q4_0", Quantization::Q4_0)] {
        let path = folder.join(format!("model-{name}.gguf"));
        write_gguf(&path, "bench", &config, &tokenizer, &weights, kind, None, &mut |_, _| ControlFlow::Continue(()))?;
    }
    Ok(())
}

/// Loads the file; gives the number of elements and, where asked, their sum.
fn load(path: &Path, buffer: &mut Vec<f32>, summed: bool) -> Result<(usize, f64)> {
    let source: Box<dyn TensorSource> = if path.extension().is_some_and(|end| end == "gguf") {
        Box::new(GgufFile::open(path)?)
    } else {
        Box::new(SafetensorsFile::open(path)?)
    };
    let (mut elements, mut sum) = (0, 0.0);
    for name in source.names() {
        source.get(&name)?.to_f32(buffer)?;
        elements += buffer.len();
        if summed {
            sum += buffer.iter().map(|&value| f64::from(value).abs()).sum::<f64>();
        }
        std::hint::black_box(&buffer);
    }
    Ok((elements, sum))
}

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (mode, path) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
    let path = Path::new(&path);
    if mode == "write" {
        return write(path);
    }
    let io = |error: std::io::Error| Error::new(Code::Io, "load_rate", error.to_string());
    let mut buffer = Vec::new();
    for (round, line) in std::io::stdin().lock().lines().enumerate() {
        line.map_err(io)?;
        let begun = Instant::now();
        // The first round, which is not counted, also says what was read.
        let (elements, sum) = load(path, &mut buffer, round == 0)?;
        let seconds = begun.elapsed().as_secs_f64();
        println!("{{\"seconds\":{seconds},\"elements\":{elements},\"sum\":{sum}}}");
        std::io::stdout().flush().map_err(io)?;
    }
    Ok(())
}
