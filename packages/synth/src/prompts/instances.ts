// The prompts that ask for instances of a task: inputs first, or labels first where the answers are labels.

/** What stands before every label of a reply. */
export const labelMark = "Class label:";

const inputsFirst = `Write examples for the tasks below. A task that needs something to work on gets an input with each example; one that does not gets the output alone.

Task: Put the numbers into order, largest first.
Example 1
Numbers: 4, 19, 7
Output: 19, 7, 4
Example 2
Numbers: 0.5, 3, 2.25
Output: 3, 2.25, 0.5

Task: Suggest a name for a shop that repairs umbrellas.
Example 1
Output: Second Canopy

Task: Rewrite the sentence in the past tense.
Example 1
Sentence: The ferry leaves at noon and we wait on the pier.
Output: The ferry left at noon and we waited on the pier.
Example 2
Sentence: She sings in a choir.
Output: She sang in a choir.

Task: Explain why the sky turns red in the evening.
Example 1
Output: In the evening sunlight crosses more air before it reaches us. The air scatters blue light out of the way, and what is left is mostly red and orange.

Task: Answer the question with the help of the note.
Example 1
Note: The library closes at six on weekdays and at noon on Saturdays. On Sundays it stays shut.
Question: When does it close on Saturdays?
Output: At noon.

Task: Work out the price after the discount.
Example 1
A coat costs 80 euros and is sold with 25 % off.
Output: 80 × 0.75 = 60, so it costs 60 euros.
Example 2
A lamp costs 15 euros and is sold with 10 % off.
Output: 15 × 0.9 = 13.5, so it costs 13.50 euros.

Task: Write a polite reply that declines an invitation.
Example 1
Invitation: We would be glad to see you at our garden party on Friday.
Output: Thank you very much for thinking of me. I am sorry to miss it, since I am away on Friday, and I hope you have a lovely evening.`;

const labelsFirst = `Write examples for the tasks below. Every answer is a label: give each label first, then an input that has it. Where a task names no labels, choose them.

Task: Say whether the message is urgent or can wait.
Class label: urgent
Message: The cellar is under water and it is still rising, please call me back at once.
Class label: can wait
Message: When you have a moment, could you send me the recipe from last week?

Task: Is the review positive or negative?
Class label: positive
Review: The soup was hot, the bread was fresh, and we stayed for two hours.
Class label: negative
Review: The zip broke on the second day and the shop did not answer.

Task: Which of the two animals is heavier? Answer with A or B.
Class label: A
A: a horse
B: a sheep
Class label: B
A: a sparrow
B: a goose

Task: Sort the request into billing, delivery or account.
Class label: delivery
Request: My parcel has been on its way for two weeks.
Class label: account
Request: I cannot sign in since I changed my address.
Class label: billing
Request: I was charged twice for one ticket.

Task: Does the second sentence follow from the first? Answer yes, no or perhaps.
Class label: yes
First: All the windows are shut.
Second: The kitchen window is shut.
Class label: perhaps
First: Mia bought a hat.
Second: The hat is green.`;

/** Asks for instances of a task. */
export function instancePrompt(instruction: string, isClassification: boolean): string {
  const task = `Task: ${instruction}`;
  return isClassification ? `${labelsFirst}\n\n${task}\n${labelMark}` : `${inputsFirst}\n\n${task}\nExample 1`;
}

/** What ends a reply with instances: the example after the last that is wanted, or another task. */
export function instanceStop(wanted: number): string[] {
  return [`Example ${wanted + 1}`, "Task:"];
}
