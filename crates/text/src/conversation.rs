//! A conversation as the chat template sees it.

use serde_json::{Map, Value as Json, json};

use crate::error::{Result, TextError};
use crate::forms::Forms;
use crate::jinja::{Value, read_json};

const PLACE: &str = "conversation";
/// Names that reasoning has in rows, the one that counts first.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// The messages and further variables of one rendering, converted once: prefix rendering uses them several times.
pub(crate) struct Conversation {
    /// Every message, in the template engine's form, without our own `train` field.
    pub messages: Vec<Value>,
    /// Role of every message.
    pub roles: Vec<String>,
    /// Index and text content of each assistant message.
    pub assistant_turns: Vec<AssistantTurn>,
    /// The template's `tools` (none when absent).
    pub tools: Value,
    /// Further template variables, from `chat_template_kwargs`.
    pub variables: Vec<(String, Value)>,
    /// Size as JSON text in bytes.
    pub bytes: usize,
    /// Two characters that occur nowhere in the conversation.
    pub marks: (char, char),
}

/// An assistant message.
pub(crate) struct AssistantTurn {
    /// Index in `messages`.
    pub message: usize,
    /// Its text; for a list of parts the last of them; empty when there is none.
    pub content: String,
}

impl Conversation {
    /// Reads `{messages, tools?, chat_template_kwargs?}`; `chatTemplateKwargs`, as TypeScript spells it, is the same
    /// field. Every message gets the form that `forms` says.
    ///
    /// # Errors
    /// `DATA_INVALID` when `messages` is not a list of objects with a `role`.
    pub fn read(json: &Json, forms: Forms) -> Result<Self> {
        let list = json.get("messages").and_then(Json::as_array).ok_or_else(|| {
            TextError::data(
                PLACE,
                "expected an object with a list `messages`, got something else; wrap the turns in `messages`",
            )
        })?;
        let mut messages = Vec::with_capacity(list.len());
        let mut roles = Vec::with_capacity(list.len());
        let mut assistant_turns = Vec::new();
        for (index, message) in list.iter().enumerate() {
            let fields = read_message(message, index, forms)?;
            let role = fields["role"].as_str().unwrap_or_default().to_owned();
            if role == "assistant" {
                assistant_turns.push(AssistantTurn { message: index, content: text_content(&fields) });
            }
            messages.push(value_of(&Json::Object(fields))?);
            roles.push(role);
        }
        let text = json.to_string();
        Ok(Self {
            messages,
            roles,
            assistant_turns,
            tools: json.get("tools").map_or(Ok(Value::None), value_of)?,
            variables: read_variables(json)?,
            bytes: text.len(),
            marks: unused_characters(&text),
        })
    }

    /// A conversation of one question, with the same tools and variables.
    ///
    /// # Errors
    /// None, but that the message is read as any other is.
    pub fn with_question(&self) -> Result<Self> {
        let (question, role) = (json!({"role": "user", "content": "?"}), "user".to_owned());
        Ok(Self {
            messages: vec![value_of(&question)?],
            roles: vec![role],
            assistant_turns: Vec::new(),
            tools: self.tools.clone(),
            variables: self.variables.clone(),
            ..*self
        })
    }
}

/// The value that a template sees.
fn value_of(json: &Json) -> Result<Value> {
    read_json(json).map_err(|error| {
        TextError::data(
            PLACE,
            &format!("expected values a template can take, got one where {}; correct the row", error.reason),
        )
    })
}

/// A message as the template sees it.
fn read_message(message: &Json, index: usize, forms: Forms) -> Result<Map<String, Json>> {
    let bad = |what: &str| {
        TextError::data(
            PLACE,
            &format!("expected messages[{index}] to be an object with a text `role`, got {what}; correct the row"),
        )
    };
    let fields = message.as_object().ok_or_else(|| bad("no object"))?;
    fields.get("role").and_then(Json::as_str).ok_or_else(|| bad("no role"))?;
    let mut seen = for_template(fields);
    forms.apply(&mut seen);
    Ok(seen)
}

/// The fields a template sees, as transformers 5.24 prepares them: without those whose value is null (templates test
/// whether a key is there, or would write `None`) and without our own, and with reasoning under the names templates read
/// (`reasoning_content`, and `thinking` for gpt-oss) whatever name it came under.
fn for_template(fields: &Map<String, Json>) -> Map<String, Json> {
    let given = |name: &str| fields.get(name).filter(|value| !value.is_null());
    let reasoning = REASONING.iter().find_map(|name| given(name));
    let mut seen = Map::with_capacity(fields.len() + 2);
    seen.extend(reasoning.map(|text| ("thinking".to_owned(), text.clone())));
    let shown = fields.iter().filter(|(name, value)| *name != "train" && !value.is_null());
    seen.extend(shown.map(|(name, value)| (name.clone(), value.clone())));
    seen.extend(reasoning.map(|text| ("reasoning_content".to_owned(), text.clone())));
    seen
}

fn text_content(message: &Map<String, Json>) -> String {
    let content = message.get("content");
    let last_part = || content?.as_array()?.iter().rev().find_map(|part| part.get("text")?.as_str());
    content.and_then(Json::as_str).or_else(last_part).unwrap_or_default().to_owned()
}

fn read_variables(json: &Json) -> Result<Vec<(String, Value)>> {
    match json.get("chat_template_kwargs").or_else(|| json.get("chatTemplateKwargs")) {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::Object(fields)) => fields.iter().map(|(name, value)| Ok((name.clone(), value_of(value)?))).collect(),
        Some(_) => Err(TextError::data(
            PLACE,
            "expected `chat_template_kwargs` to be an object, got something else; write {\"name\": value}",
        )),
    }
}

/// Two neighbouring private-use characters (plane 15 and on) that `text` does not contain.
fn unused_characters(text: &str) -> (char, char) {
    let mut candidates =
        (0xF_0000..0xF_FFFD).step_by(2).filter_map(|code| char::from_u32(code).zip(char::from_u32(code + 1)));
    // 32,000 pairs cannot all be in use unless a text was made for it; the last resort then only loses span exactness
    // there.
    candidates
        .find(|(open, close)| !text.contains(*open) && !text.contains(*close))
        .unwrap_or(('\u{10_0000}', '\u{10_0001}'))
}
