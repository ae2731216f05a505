//! What a template writes between a message and the answer to it, and after an answer.
//!
//! Both depend on what kind of message stands before, not on how many: each kind is rendered once.

use std::rc::Rc;

use crate::closing::SpecialTokens;
use crate::conversation::{AssistantTurn, Conversation};
use crate::error::Result;
use crate::template::ChatTemplate;
use crate::turn_span::common_prefix;

/// A generation prompt.
#[derive(Default)]
pub(crate) struct Prompt {
    /// All that stands after the last message's own text.
    pub after_message: String,
    /// What asking for a prompt adds to the rendering.
    pub added: String,
}

/// The prompts of a conversation, each rendered when it is first asked for.
pub(crate) struct Prompts<'a> {
    template: &'a ChatTemplate,
    conversation: &'a Conversation,
    specials: &'a SpecialTokens,
    /// By the role of the message before the answer; none where nothing stands before it.
    by_role: Vec<(Option<&'a str>, Rc<Prompt>)>,
    /// What closes an answer after its own text.
    closing: Option<String>,
}

impl<'a> Prompts<'a> {
    /// For a template and a conversation.
    pub fn new(template: &'a ChatTemplate, conversation: &'a Conversation, specials: &'a SpecialTokens) -> Self {
        Self { template, conversation, specials, by_role: Vec::new(), closing: None }
    }

    /// The prompt in front of `message`, an assistant turn.
    pub fn before(&mut self, message: usize) -> Rc<Prompt> {
        let role = message.checked_sub(1).and_then(|before| self.conversation.roles.get(before)).map(String::as_str);
        if let Some((_, prompt)) = self.by_role.iter().find(|(known, _)| *known == role) {
            return Rc::clone(prompt);
        }
        let prompt = self.measure(self.conversation, message).map_or_else(|| self.usual(), Rc::new);
        self.by_role.push((role, Rc::clone(&prompt)));
        prompt
    }

    /// Renders the first `count` messages with a prompt and without. None where the template refuses them.
    fn measure(&self, conversation: &Conversation, count: usize) -> Option<Prompt> {
        if count == 0 {
            return None;
        }
        let asked = self.template.render(conversation, count, true).ok()?;
        let plain = self.template.render(conversation, count, false).ok()?;
        // A last message that is not written ends where the one before it does.
        let own =
            asked.pieces.iter().rfind(|piece| piece.message.checked_add(1) == Some(count)).or(asked.pieces.last());
        let shared = common_prefix(&asked.text, &plain.text);
        let shared = [&asked.text, &plain.text]
            .map(|text| self.specials.whole(text, shared))
            .into_iter()
            .min()
            .unwrap_or(shared);
        let from = own.map_or(shared, |piece| piece.end.min(shared));
        Some(Prompt { after_message: asked.text[from..].to_owned(), added: asked.text[shared..].to_owned() })
    }

    /// The prompt where that of a turn cannot be rendered: that of another turn, or that of a single question.
    fn usual(&self) -> Rc<Prompt> {
        if let Some((_, prompt)) = self.by_role.first() {
            return Rc::clone(prompt);
        }
        let mut others = self.conversation.assistant_turns.iter().take(4);
        let rendered = others.find_map(|turn| self.measure(self.conversation, turn.message));
        let alone = || self.measure(&self.conversation.with_question().ok()?, 1);
        Rc::new(rendered.or_else(alone).unwrap_or_default())
    }

    /// Length of the special tokens at the start of `rest` that close the answer `turn` before it.
    ///
    /// # Errors
    /// `TEMPLATE_INVALID` when the template refuses the conversation up to that answer.
    pub fn closing_after(&mut self, turn: &AssistantTurn, rest: &str) -> Result<usize> {
        if self.closing.is_none() {
            let upto = self.template.render(self.conversation, turn.count(), false)?;
            let own = upto.pieces.iter().filter(|piece| piece.message == turn.message).map(|piece| piece.end).max();
            let after = &upto.text[own.unwrap_or(upto.text.len())..];
            self.closing = Some(after[..self.specials.leading_run(after)].to_owned());
        }
        let closing = self.closing.as_deref().unwrap_or_default();
        Ok(if rest.starts_with(closing) { closing.len() } else { 0 })
    }
}
