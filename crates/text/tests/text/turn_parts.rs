//! Where tool calls and reasoning stand in a turn: to the byte for templates of every kind, or an error.

use std::fs;

use serde_json::{Value as Json, json};
use tunesmith_text::{ConversationOptions, EncodedConversation, PartOptions, TextError, Tokenizer};

use crate::common::{CHATML, fixtures, folder, small, tokenizer_json_with};

const ALL: ConversationOptions = ConversationOptions {
    parts: PartOptions { tool_calls: true, reasoning: true },
    add_generation_prompt: false,
    moment: None,
    sanitize_control_tokens: false,
    max_tokens: None,
};

fn encoded(tokenizer: &Tokenizer, row: &Json, options: ConversationOptions) -> Result<EncodedConversation, TextError> {
    tokenizer.encode_conversations(std::slice::from_ref(row), options, 1).remove(0)
}

/// The trained text, with `‹…›` around calls and `«…»` around reasoning, spans apart by `¦`.
fn shown(tokenizer: &Tokenizer, row: &Json) -> String {
    let encoded = encoded(tokenizer, row, ALL).unwrap_or_else(|error| panic!("{error}"));
    let bounds = |ranges: &[(u32, u32)], open: char, close: char| {
        ranges.iter().flat_map(|&(start, end)| [(start, 1, open), (end, 0, close)]).collect::<Vec<_>>()
    };
    let mut signs = bounds(&encoded.parts.tool_calls, '‹', '›');
    signs.extend(bounds(&encoded.parts.reasoning, '«', '»'));
    signs.sort_unstable();
    let turn = |&(start, end): &(u32, u32)| {
        let (mut out, mut from) = (String::new(), start);
        let inside =
            signs.iter().filter(|(at, _, _)| (start..=end).contains(at)).map(|&(at, _, sign)| (at, Some(sign)));
        for (at, sign) in inside.chain([(end, None)]) {
            out.push_str(&tokenizer.decode(&encoded.ids[from as usize..at as usize], false).unwrap());
            out.extend(sign);
            from = at;
        }
        out
    };
    encoded.spans.iter().map(turn).collect::<Vec<_>>().join("¦")
}

fn call(city: &str) -> Json {
    json!({"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": {"city": city}}})
}

/// Two questions with calls, the first with words beside them, and reasoning everywhere.
fn talk() -> Json {
    json!({"messages": [
        {"role": "user", "content": "u1"},
        {"role": "assistant", "content": "I look.", "reasoning_content": "r one", "tool_calls": [call("Rome"), call("Oslo")]},
        {"role": "tool", "content": "t1", "tool_call_id": "call00001", "name": "get_weather"},
        {"role": "tool", "content": "t2", "tool_call_id": "call00001", "name": "get_weather"},
        {"role": "assistant", "content": "Warm.", "reasoning_content": "r two"},
        {"role": "user", "content": "u2"},
        {"role": "assistant", "content": "", "reasoning_content": "r three", "tool_calls": [call("Bonn")]},
        {"role": "tool", "content": "t3", "tool_call_id": "call00001", "name": "get_weather"},
        {"role": "assistant", "content": " }Cold.", "reasoning_content": "r four"},
    ]})
}

const HEAD: &str = "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n";
const TAIL: &str = "<|im_end|>\n{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

fn own(body: &str) -> Tokenizer {
    small(&format!("{HEAD}{body}{TAIL}"))
}

#[test]
fn parts_are_found_in_any_order() {
    let think = "{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n{% endif %}";
    let calls = "{% for c in m.tool_calls or [] %}{{ '\n<tool_call>' }}\n{\"name\": \"{{ c.function.name }}\", \"arguments\": {{ c.function.arguments | tojson }}}\n</tool_call>{% endfor %}";
    let usual = own(&format!("{think}{{{{ m.content }}}}{calls}"));
    let written = |city: &str| {
        format!("\n<tool_call>\n{{\"name\": \"get_weather\", \"arguments\": {{\"city\": \"{city}\"}}}}\n</tool_call>")
    };
    assert_eq!(
        shown(&usual, &talk()),
        [
            format!("«<think>\nr one\n</think>\n\n»I look.‹{}{}›<|im_end|>", written("Rome"), written("Oslo")),
            "«<think>\nr two\n</think>\n\n»Warm.<|im_end|>".to_owned(),
            format!("«<think>\nr three\n</think>\n\n»‹{}›<|im_end|>", written("Bonn")),
            "«<think>\nr four\n</think>\n\n» }Cold.<|im_end|>".to_owned(),
        ]
        .join("¦")
    );
    let calls_first = own(
        "{% if m.tool_calls %}[CALLS]{% for c in m.tool_calls %}{{ c.function.name }}{{ c.function.arguments | tojson }}{{ ', ' if not loop.last }}{% endfor %}[/CALLS]{% endif %}{{ m.content }}{% if m.thinking %}({{ m.thinking }}){% endif %}",
    );
    assert_eq!(
        shown(&calls_first, &talk()),
        "‹[CALLS]get_weather{\"city\": \"Rome\"}, get_weather{\"city\": \"Oslo\"}[/CALLS]›I look.«(r one)»<|im_end|>¦Warm.«(r two)»<|im_end|>¦‹[CALLS]get_weather{\"city\": \"Bonn\"}[/CALLS]›«(r three)»<|im_end|>¦ }Cold.«(r four)»<|im_end|>"
    );
    // Nothing but braces between the words and the call: the brace at the end of the words is theirs.
    let braces = own("{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function.arguments | tojson }}{% endfor %}");
    let row = json!({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "{x}", "tool_calls": [call("Rome")]}]});
    assert_eq!(shown(&braces, &row), "{x}‹{\"city\": \"Rome\"}›<|im_end|>");
    let glued = own(
        "<think>{{ m.thinking }}</think>{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.name }}</tool_call>{% endfor %}{{ m.content }}",
    );
    let row = json!({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "", "thinking": "t", "tool_calls": [call("Rome")]}]});
    assert_eq!(shown(&glued, &row), "«<think>t</think>»‹<tool_call>get_weather</tool_call>›<|im_end|>");
}

/// Tags around reasoning go with it where a template writes them in any case, and a turn without reasoning keeps them.
#[test]
fn tags_that_are_always_written_go_with_the_reasoning() {
    let always = own("<think>\n{{ m.reasoning_content }}\n</think>\n\n{{ m.content }}");
    let mut row = talk();
    row["messages"][4]["reasoning_content"] = json!(null);
    assert_eq!(
        shown(&always, &row),
        "«<think>\nr one\n</think>\n\n»I look.<|im_end|>¦<think>\n\n</think>\n\nWarm.<|im_end|>¦«<think>\nr three\n</think>\n\n»<|im_end|>¦«<think>\nr four\n</think>\n\n» }Cold.<|im_end|>"
    );
    // The generation prompt opens the reasoning.
    let opened = small(&format!(
        "{HEAD}<think>\n{{{{ m.thinking }}}}</think>{{{{ m.content }}}}{}",
        TAIL.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
    ));
    let row =
        json!({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a", "thinking": "t"}]});
    assert_eq!(shown(&opened, &row), "«t</think>»a<|im_end|>");
}

#[test]
fn reasoning_inside_a_content_is_found() {
    let think = |content: &str| json!({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": content}]});
    let plain = small(CHATML);
    assert_eq!(shown(&plain, &think("<think>\nt\n</think>\n\na")), "«<think>\nt\n</think>\n\n»a<|im_end|>");
    assert_eq!(shown(&plain, &think("t</think>a")), "«t</think>»a<|im_end|>");
    assert_eq!(shown(&plain, &think("Well <think>t</think> a")), "Well «<think>t</think> »a<|im_end|>");
    assert_eq!(shown(&plain, &think("a <think> b")), "a <think> b<|im_end|>");
    assert_eq!(shown(&plain, &think("<think>\n\n</think>\n\na")), "«<think>\n\n</think>\n\n»a<|im_end|>");
    // Thoughts between what is said are in more than one place.
    let error = encoded(&plain, &think("<think>t</think>a<think>s</think>b"), ALL).unwrap_err();
    assert!(error.code == "TEMPLATE_INVALID" && error.message.contains("messages[1]"), "{error}");
    let stripped = own("{{ m.content.split('</think>')[-1] }}");
    assert_eq!(shown(&stripped, &think("<think>t</think>a")), "a<|im_end|>");
}

/// Templates of tagged spans, of turns in pieces, and those that can only be followed prefix by prefix.
#[test]
fn parts_are_inside_of_spans() {
    let tagged = small(
        "{% for m in messages %}{% if m.role == 'assistant' %}{{ m.thinking }}{% generation %}{{ m.content }}{% for c in m.tool_calls or [] %}[{{ c.function.name }}]{% endfor %}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}",
    );
    assert_eq!(
        shown(&tagged, &talk()),
        "I look.‹[get_weather][get_weather]›<|im_end|>¦Warm.<|im_end|>¦‹[get_weather]›<|im_end|>¦ }Cold.<|im_end|>"
    );
    let pieces = small(
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.thinking }}{% endgeneration %}|{% generation %}{{ m.content }}{% for c in m.tool_calls or [] %}[{{ c.function.name }}]{% endfor %}<|im_end|>{% endgeneration %}{% else %}{{ m.content }}{% endif %}{% endfor %}",
    );
    assert_eq!(
        shown(&pieces, &talk()),
        "«r one»¦I look.‹[get_weather][get_weather]›<|im_end|>¦«r two»¦Warm.<|im_end|>¦«r three»¦‹[get_weather]›<|im_end|>¦«r four»¦ }Cold.<|im_end|>"
    );
    let by_index = small(
        "{% set text %}{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}{% for c in m.tool_calls or [] %}[{{ c.function.name }}]{% endfor %}<|im_end|>{% endfor %}{% endset %}{{ text }}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    );
    assert_eq!(
        shown(&by_index, &talk()),
        "I look.‹[get_weather][get_weather]›<|im_end|>¦Warm.<|im_end|>¦‹[get_weather]›<|im_end|>¦ }Cold.<|im_end|>"
    );
}

/// As Llama 3.1 does: a turn that calls is another than one that talks.
#[test]
fn turns_that_are_written_otherwise_without_their_calls_are_found() {
    let otherwise = own(
        "{% if m.tool_calls %}{% for c in m.tool_calls %}{{ c.function.arguments | tojson }}{% endfor %}{% else %}{{ m.content }}{% endif %}",
    );
    assert_eq!(
        shown(&otherwise, &talk()),
        "‹{\"city\": \"Rome\"}{\"city\": \"Oslo\"}›<|im_end|>¦Warm.<|im_end|>¦‹{\"city\": \"Bonn\"}›<|im_end|>¦ }Cold.<|im_end|>"
    );
    let channels = own(
        "{% if m.tool_calls %}<to>{{ m.tool_calls[0].function.name }}<|end|>{% else %}<final>{{ m.content }}{% endif %}",
    );
    assert_eq!(
        shown(&channels, &talk()),
        "‹<to>get_weather<|end|>›<|im_end|>¦<final>Warm.<|im_end|>¦‹<to>get_weather<|end|>›<|im_end|>¦<final> }Cold.<|im_end|>"
    );
}

/// As Nemotron and Gemma 4 do.
#[test]
fn empty_tags_and_other_ends_do_not_hide_a_part() {
    let emptied = own(
        "{% if m.thinking %}<think>\n{{ m.thinking }}\n</think>{{ '\n' }}{% else %}<think></think>{% endif %}{{ m.content }}",
    );
    let mut row = talk();
    row["messages"][4]["reasoning_content"] = json!(null);
    let think = |text: &str| format!("«<think>\n{text}\n</think>\n»");
    let [one, three, four] = ["r one", "r three", "r four"].map(think);
    assert_eq!(
        shown(&emptied, &row),
        format!("{one}I look.<|im_end|>¦<think></think>Warm.<|im_end|>¦{three}<|im_end|>¦{four} }}Cold.<|im_end|>")
    );
    let ends = small(
        "{% for m in messages %}{% if m.role == 'assistant' %}<|im_start|>assistant\n{% for c in m.tool_calls or [] %}[{{ c.function.name }}]{% endfor %}{{ m.content }}{{ '<|end|>' if m.tool_calls else '<|im_end|>' }}{% else %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    );
    assert_eq!(
        shown(&ends, &talk()),
        "‹[get_weather][get_weather]›I look.<|end|>¦Warm.<|im_end|>¦‹[get_weather]›<|end|>¦ }Cold.<|im_end|>"
    );
    // White space in front of tags that the content brings, and a template that takes the tags but not what follows.
    let shifted = own("{{ '\n' + m.content }}");
    let row = json!({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "<think>\nt\n</think>\n\na"}]});
    assert_eq!(shown(&shifted, &row), "\n«<think>\nt\n</think>\n\n»a<|im_end|>");
    // A token of two line ends begins in the header.
    assert_eq!(shown(&own("{{ m.content.split('</think>')[-1] }}"), &row), "\n\n\na<|im_end|>");
}

/// As Mistral's templates do: turns go by turns, results stand after calls only, and a turn must hold something.
#[test]
fn templates_that_refuse_a_conversation_without_its_calls_are_followed() {
    let strict = small(
        "{% set ns = namespace(called=false, at=0) %}{% for m in messages %}{% if m.role == 'user' or (m.role == 'assistant' and not m.tool_calls) %}{% if (m.role == 'user') != (ns.at % 2 == 0) %}{{ raise_exception('turns must alternate') }}{% endif %}{% set ns.at = ns.at + 1 %}{% endif %}{% endfor %}{% for m in messages %}{% if m.role == 'user' %}[INST]{{ m.content }}[/INST]{% elif m.role == 'tool' %}{% if not ns.called %}{{ raise_exception('no call') }}{% endif %}[RESULT]{{ m.content }}[/RESULT]{% else %}{% set ns.called = true if m.tool_calls else false %}{% if not m.content and not m.tool_calls %}{{ raise_exception('empty') }}{% endif %}{{ m.content }}{% if m.tool_calls %}[TOOL_CALLS]{% for c in m.tool_calls %}{{ c.function.name }}[ARGS]{{ c.function.arguments | tojson }}{% endfor %}{% endif %}<|im_end|>{% endif %}{% endfor %}",
    );
    let mut row = talk();
    row["messages"].as_array_mut().unwrap().remove(3);
    assert_eq!(
        shown(&strict, &row),
        "I look.‹[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Rome\"}get_weather[ARGS]{\"city\": \"Oslo\"}›<|im_end|>¦Warm.<|im_end|>¦‹[TOOL_CALLS]get_weather[ARGS]{\"city\": \"Bonn\"}›<|im_end|>¦ }Cold.<|im_end|>"
    );
}

#[test]
fn what_cannot_be_proven_is_refused_with_template_turn_and_fix() {
    let calls = "{% for c in m.tool_calls or [] %}<c>{{ c.function.name }}</c>{% endfor %}";
    for (body, part) in [
        // Written twice, around the words, and with words that change.
        (format!("{calls}{{{{ m.content }}}}{calls}"), "tool calls of messages[1]"),
        (format!("{{{{ m.content.upper() if m.tool_calls else m.content }}}}{calls}"), "tool calls of messages[1]"),
        ("{% if m.thinking %}<t>{% endif %}{{ m.content }}{{ m.thinking }}".to_owned(), "reasoning of messages[1]"),
        // Marks change more than themselves.
        ("{{ m.thinking | length }}{{ m.thinking }}{{ m.content }}".to_owned(), "reasoning of messages[1]"),
    ] {
        let tokenizer = own(&body);
        let error = encoded(&tokenizer, &talk(), ALL).unwrap_err();
        let asks = ["[chat template]", "SHA-256", part, "use another chat template", "trainOn"];
        assert!(error.code == "TEMPLATE_INVALID" && asks.iter().all(|text| error.message.contains(text)), "{error}");
        assert!(encoded(&tokenizer, &talk(), ConversationOptions::default()).unwrap().parts.tool_calls.is_empty());
    }
}

#[test]
fn a_start_of_a_row_has_the_parts_that_begin_in_it() {
    let tokenizer = own(
        "{% if m.thinking %}<t>{{ m.thinking }}</t>{% endif %}{{ m.content }}{% for c in m.tool_calls or [] %}<c>{{ c.function.name }}</c>{% endfor %}",
    );
    let whole = encoded(&tokenizer, &talk(), ALL).unwrap();
    for most in 1..whole.ids.len() {
        let start = encoded(&tokenizer, &talk(), ConversationOptions { max_tokens: Some(most), ..ALL }).unwrap();
        let count = start.ids.len() as u32;
        let cut = |ranges: &[(u32, u32)]| -> Vec<(u32, u32)> {
            let begun = ranges.iter().filter(|range| range.0 < count);
            begun.map(|&(from, to)| (from, to.min(count))).collect()
        };
        assert_eq!(start.parts.tool_calls, cut(&whole.parts.tool_calls), "{most}");
        assert_eq!(start.parts.reasoning, cut(&whole.parts.reasoning), "{most}");
    }
}

/// A token that reaches over a border belongs to where it begins.
#[test]
fn a_token_belongs_to_the_part_that_it_begins_in() {
    // "hello" is one token of the small tokenizer.
    let row = |content: &str, thinking: &str| json!({"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": content, "thinking": thinking}]});
    let after = own("{{ m.content }}{{ m.thinking }}");
    assert_eq!(shown(&after, &row("he", "llo w")), "hello« w»<|im_end|>");
    let before = own("{{ m.thinking }}{{ m.content }}");
    assert_eq!(shown(&before, &row("llo w", "he")), "«hello» w<|im_end|>");
    // A token that begins in the header is trained as what the turn begins with.
    let header = small(
        "{% for m in messages %}{{ m.role }}: he{{ m.thinking }}{{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}assistant: he{% endif %}",
    );
    assert_eq!(shown(&header, &row(" w", "llo")), "«hello» w<|im_end|>");
    assert_eq!(shown(&header, &row("llo w", "")), "hello w<|im_end|>");
}

/// The special tokens of the recorded templates.
const SPECIALS: [&str; 20] = [
    "<s>",
    "</s>",
    "<|im_start|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|end|>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
    "<|observation|>",
    "<|start|>",
    "<|channel|>",
    "<|message|>",
    "<|return|>",
    "<|call|>",
    "<｜Assistant｜>",
    "<｜end▁of▁sentence｜>",
];

fn recorded(name: &str) -> Option<Tokenizer> {
    let file = fixtures()?.join(format!("trl/chat-templates/{name}.jinja"));
    let config = json!({"bos_token": "<s>", "eos_token": "</s>", "chat_template": fs::read_to_string(file).unwrap()});
    Some(Tokenizer::from_dir(folder(&tokenizer_json_with(&SPECIALS), &config).path()).unwrap())
}

/// What is shown of the talk under a published template.
fn shown_by(name: &str, talk: &Json) -> String {
    let mut row = talk.clone();
    row["tools"] = json!([{"type": "function", "function": {"name": "get_weather", "description": "d", "parameters": {"type": "object", "properties": {"city": {"type": "string", "description": "c"}}}}}]);
    shown(&recorded(name).unwrap(), &row)
}

#[test]
fn parts_of_published_templates_are_found() {
    if fixtures().is_none() {
        return;
    }
    let json_call = |city: &str| {
        format!("<tool_call>\n{{\"name\": \"get_weather\", \"arguments\": {{\"city\": \"{city}\"}}}}\n</tool_call>")
    };
    let [rome, oslo, bonn] = ["Rome", "Oslo", "Bonn"].map(json_call);
    let think = |text: &str| format!("«<think>\n{text}\n</think>\n\n»");
    let end = "<|im_end|>";
    let first = format!("I look.‹\n{rome}\n{oslo}›{end}");
    let expect = |name: &str, turns: [String; 4], between: &str| {
        assert_eq!(shown_by(name, &talk()), turns.join("¦") + between, "{name}");
    };
    // Reasoning before the last question is not written: nothing is left out there.
    let (three, four) = (format!("{}‹{bonn}›{end}", think("r three")), format!("{} }}Cold.{end}", think("r four")));
    expect("qwen3", [first.clone(), format!("Warm.{end}"), three.clone(), four.clone()], "");
    let plain = [first.clone(), format!("Warm.{end}"), format!("‹{bonn}›{end}"), format!(" }}Cold.{end}")];
    expect("qwen2_5", plain.clone(), "");
    expect("qwen3_instruct_2507", plain, "");
    let tagged = [think("r one") + &first, format!("{}Warm.{end}", think("r two")), three, four];
    expect("qwen3_training", tagged.map(|turn| turn + "\n"), "");
    let xml = |city: &str| {
        format!("\n<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>{city}</arg_value>\n</tool_call>")
    };
    let [rome, oslo, bonn] = ["Rome", "Oslo", "Bonn"].map(xml);
    expect(
        "glm4moe",
        [
            format!("\n<think></think>\nI look.‹{rome}{oslo}›"),
            "\n<think></think>\nWarm.".to_owned(),
            format!("\n«<think>r three</think>»‹{bonn}›"),
            "\n«<think>r four</think>»\n}Cold.".to_owned(),
        ],
        "",
    );
    let fenced = |city: &str| {
        format!(
            "<｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n{{\"city\": \"{city}\"}}\n```<｜tool▁call▁end｜>"
        )
    };
    let [rome, oslo, bonn] = ["Rome", "Oslo", "Bonn"].map(fenced);
    let (eos, all) = ("<｜end▁of▁sentence｜>", "<｜tool▁calls▁end｜>");
    expect(
        "deepseekv3",
        [
            format!("I look.‹<｜tool▁calls▁begin｜>{rome}\n{oslo}{all}›{eos}"),
            format!("Warm.{eos}"),
            format!("‹\n{bonn}{all}›{eos}"),
            format!(" }}Cold.{eos}"),
        ],
        "",
    );
}

/// Llama 3 writes one call a turn and nothing beside it, gpt-oss one call with what was thought, in channels.
#[test]
fn parts_of_published_templates_with_one_call_a_turn_are_found() {
    if fixtures().is_none() {
        return;
    }
    let mut row = talk();
    row["messages"][1]["tool_calls"].as_array_mut().unwrap().truncate(1);
    let call =
        |city: &str| format!("‹{{\"name\": \"get_weather\", \"parameters\": {{\"city\": \"{city}\"}}}}›<|eot_id|>");
    let llama = format!("{}¦Warm.<|eot_id|>¦{}¦}}Cold.<|eot_id|>", call("Rome"), call("Bonn"));
    assert_eq!([shown_by("llama3_1", &row), shown_by("llama3_2", &row)], [llama.clone(), llama]);
    row["messages"][1].as_object_mut().unwrap().remove("reasoning_content");
    let call = |city: &str| {
        format!("‹ to=functions.get_weather<|channel|>commentary json<|message|>{{\"city\": \"{city}\"}}›<|call|>")
    };
    let analysis = |text: &str| format!("«<|channel|>analysis<|message|>{text}<|end|><|start|>assistant»");
    let said = |text: &str, end: &str| format!("<|channel|>final<|message|>{text}{end}");
    let last = analysis("r four") + &said(" }Cold.", "<|return|>");
    assert_eq!(shown_by("gptoss", &row), [call("Rome"), said("Warm.", "<|end|>"), call("Bonn"), last].join("¦"));
    // A call is the last turn: what was thought for it is written.
    row["messages"].as_array_mut().unwrap().truncate(7);
    let called = analysis("r three") + &call("Bonn");
    assert_eq!(shown_by("gptoss", &row), [call("Rome"), said("Warm.", "<|end|>"), called].join("¦"));
}
