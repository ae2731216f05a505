//! A conversation as the chat template sees it.

use serde_json::{Map, Value as Json, json};

use crate::clock;
use crate::control_tokens::ControlTokens;
use crate::error::{Result, TextError};
use crate::forms::Forms;
use crate::jinja::{Value, read_json};
use crate::marks::Marks;

const PLACE: &str = "conversation";
/// Names that reasoning has in rows, the one that counts first.
pub(crate) const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// The messages and further variables of one rendering, converted once: prefix rendering uses them several times.
pub(crate) struct Conversation {
    /// Every message, in the template engine's form, without our own `train` field.
    pub messages: Vec<Value>,
    /// The same as JSON.
    pub fields: Vec<Map<String, Json>>,
    /// Role of every message.
    pub roles: Vec<String>,
    /// Index and text content of each assistant message.
    pub assistant_turns: Vec<AssistantTurn>,
    /// The template's `tools` (none when absent).
    pub tools: Value,
    /// The same as JSON.
    pub tools_json: Json,
    /// Further template variables, from `chat_template_kwargs`.
    pub variables: Vec<(String, Value)>,
    /// Size as JSON text in bytes.
    pub bytes: usize,
    /// Characters that occur nowhere in the conversation.
    pub marks: Marks,
    /// The moment that `strftime_now` writes, in seconds since 1970.
    pub moment: u64,
}

/// An assistant message.
pub(crate) struct AssistantTurn {
    /// Index in `messages`.
    pub message: usize,
    /// Its text; for a list of parts the last of them; empty when there is none.
    pub content: String,
}

impl AssistantTurn {
    /// The number of messages up to and with it.
    pub fn count(&self) -> usize {
        self.message.saturating_add(1)
    }
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
        let read = |(index, message)| read_message(message, index, forms);
        let fields = list.iter().enumerate().map(read).collect::<Result<Vec<_>>>()?;
        let text = json.to_string();
        let tools_json = json.get("tools").cloned().unwrap_or_default();
        Ok(Self {
            messages: fields.iter().map(message_value).collect::<Result<_>>()?,
            roles: fields.iter().map(role_of).collect(),
            assistant_turns: assistant_turns(&fields),
            fields,
            tools: value_of(&tools_json)?,
            tools_json,
            variables: read_variables(json)?,
            bytes: text.len(),
            marks: Marks::unused_in(&text),
            moment: clock::now(),
        })
    }

    /// Its first `count` messages.
    pub fn first(&self, count: usize) -> &[Value] {
        self.messages.get(..count).unwrap_or(&self.messages)
    }

    /// The same conversation with other texts in its messages and tools.
    ///
    /// # Errors
    /// `DATA_INVALID` for values that a template cannot take.
    pub fn with_fields(&self, fields: Vec<Map<String, Json>>, tools_json: Json) -> Result<Self> {
        let turns = self.assistant_turns.iter();
        Ok(Self {
            messages: fields.iter().map(message_value).collect::<Result<_>>()?,
            fields,
            roles: self.roles.clone(),
            assistant_turns: turns
                .map(|turn| AssistantTurn { message: turn.message, content: turn.content.clone() })
                .collect(),
            tools: value_of(&tools_json)?,
            tools_json,
            variables: self.variables.clone(),
            ..*self
        })
    }

    /// The same conversation with other messages.
    ///
    /// # Errors
    /// As [`Self::with_fields`].
    pub fn with_messages(&self, fields: Vec<Map<String, Json>>) -> Result<Self> {
        let (roles, assistant_turns) = (fields.iter().map(role_of).collect(), assistant_turns(&fields));
        Ok(Self { roles, assistant_turns, ..self.with_fields(fields, self.tools_json.clone())? })
    }

    /// The same conversation with marks around the control tokens of its texts.
    ///
    /// # Errors
    /// As [`Self::with_fields`].
    pub fn with_marked(&self, tokens: &ControlTokens) -> Result<Self> {
        let (mut fields, mut tools) = (self.fields.clone(), self.tools_json.clone());
        let values = fields.iter_mut().flat_map(|message| message.iter_mut().map(|(_, value)| value));
        values.for_each(|value| tokens.mark(value, self.marks.control));
        tokens.mark(&mut tools, self.marks.control);
        self.with_fields(fields, tools)
    }

    /// A conversation of one question, with the same tools and variables.
    ///
    /// # Errors
    /// None, but that the message is read as any other is.
    pub fn with_question(&self) -> Result<Self> {
        let question = Map::from_iter([("role".to_owned(), json!("user")), ("content".to_owned(), json!("?"))]);
        self.with_messages(vec![question])
    }
}

fn role_of(message: &Map<String, Json>) -> String {
    message.get("role").and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn assistant_turns(messages: &[Map<String, Json>]) -> Vec<AssistantTurn> {
    let of_assistant = messages.iter().enumerate().filter(|(_, message)| role_of(message) == "assistant");
    of_assistant.map(|(message, fields)| AssistantTurn { message, content: text_content(fields) }).collect()
}

fn message_value(fields: &Map<String, Json>) -> Result<Value> {
    value_of(&Json::Object(fields.clone()))
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
    let mut seen = Map::with_capacity(fields.len().saturating_add(2));
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
