// The prompt that asks whether a task has labels as its answers.

const opening = "Say of each task whether every answer to it is one label out of a small set that is known beforehand.";

/** Tasks with an answer each: 12 of labels, 19 others, mixed. */
const examples: readonly [task: string, isClassification: boolean][] = [
  ["Say whether the message is urgent or can wait.", true],
  ["Write a short poem about the first snow of the year.", false],
  ["Which continent is the given city on?", true],
  ["Shorten the paragraph to one sentence.", false],
  ["Suggest three names for a bakery that opens at night.", false],
  ["Rate the tone of the reply as friendly, neutral or rude.", true],
  ["Explain how a bicycle stays upright.", false],
  ["Put the words into alphabetical order.", false],
  ["Does the second sentence follow from the first? Answer yes, no or perhaps.", true],
  ["Plan a week of dinners for two people who eat no meat.", false],
  ["Tell which language the text is written in: English, French or Spanish.", true],
  ["Turn the recipe into a shopping list.", false],
  ["Write a letter that thanks a neighbour for help in the garden.", false],
  ["Decide which of the two titles suits the article better.", true],
  ["Translate the sentence into German.", false],
  ["Convert the temperatures from Fahrenheit to Celsius.", false],
  ["Is the statement about chemistry true or false?", true],
  ["Ask five questions that a guest could answer in an interview about bees.", false],
  ["Find the grammatical mistakes in the text and correct them.", false],
  ["Sort the support request into billing, delivery or account.", true],
  ["Give an example of irony and say why it is one.", false],
  ["Describe the taste of a lemon to someone who has never eaten one.", false],
  ["Name the part of speech of the marked word.", true],
  ["Write a function in Python that reverses a list.", false],
  ["Would a child of six understand the word? Answer yes or no.", true],
  ["Continue the story with two more sentences.", false],
  ["Compute the area of the field from its sides.", false],
  ["Choose the season in which the event most likely takes place.", true],
  ["List arguments for and against living in a big city.", false],
  ["Is the review positive or negative?", true],
  ["Make the sentence sound more polite.", false],
];

/** Asks whether a task is one of classification; the reply is to be yes or no. */
export function classificationPrompt(instruction: string): string {
  const shown = examples.map(([task, answer]) => `Task: ${task}\nLabels: ${answer ? "yes" : "no"}`);
  return [opening, ...shown, `Task: ${instruction}\nLabels:`].join("\n\n");
}

/** What ends a reply. */
export const classificationStop: readonly string[] = ["\n", "Task:"];

/** What a reply says; null: neither yes nor no. */
export function isClassification(reply: string): boolean | null {
  if (/^\W*yes\b/iu.test(reply)) return true;
  return /^\W*no\b/iu.test(reply) ? false : null;
}
