// Rows in which an audit finds nothing, and faults to plant among them.

/** A row of one question and its answer. */
export function row(question: string, answer: string) {
  return {
    messages: [
      { role: "user", content: question },
      { role: "assistant", content: answer },
    ],
  };
}

/** Rows of many kinds, without a fault. */
export const cleanRows = [
  row(
    "What is the boiling point of water at sea level?",
    "It boils at 100 degrees Celsius, which is 212 degrees Fahrenheit.",
  ),
  row("Name three primary colours of light.", "Red, green and blue are the primary colours of light."),
  row(
    "Summarise the plot of Hamlet in one sentence.",
    "A prince of Denmark delays the revenge for his murdered father until nearly all of the court is dead.",
  ),
  row(
    "How do I reverse a list in Python?",
    "Call its method reverse to change it in place, or write items[::-1] to get a copy.",
  ),
  row("Convert 5 kilometres to miles.", "Five kilometres are about 3.1 miles."),
  row("Which planet has the most moons?", "Saturn has the most known moons, more than a hundred of them."),
  row("Suggest a name for a small bakery.", "Crumb and Kettle would suit a small bakery well."),
  row(
    "Explain photosynthesis to a child.",
    "Plants drink water, breathe air and eat sunlight. From these three they cook their own sugar and give us oxygen.",
  ),
  row("Fix the grammar: he go to school.", "He goes to school."),
  row("Is seven a prime number?", "Yes, since only one and seven divide it."),
  row(
    "List two uses of vinegar in cleaning.",
    "Vinegar removes limescale from kettles, and it takes smells out of drains.",
  ),
  row("Who wrote the novel Middlemarch?", "George Eliot, whose real name was Mary Ann Evans, wrote it."),
  row("Translate good morning into French.", "Bonjour is how one says that in French."),
  row("Compute the area of a circle with radius two.", "The area is pi times four, or roughly 12.57."),
  row("Describe the taste of a mango.", "It is sweet and a little sour, with hints of peach, pine and honey."),
  row(
    "Why is the sky blue?",
    "Air scatters short waves of light more than long ones. Blue therefore reaches our eyes from all sides.",
  ),
  row(
    "Recommend an exercise for a stiff neck.",
    "Turn your head slowly to each side and hold it there for ten seconds.",
  ),
  row("Give an antonym of generous.", "Stingy means the opposite of generous."),
  row("When did the Berlin Wall fall?", "It fell on 9 November 1989."),
  row("Classify the sentiment: I loved this film.", "The sentiment of that review is positive."),
  row("Write a haiku about rain.", "Grey drops tap the roof,\na slow drum above my sleep;\nthe garden drinks deep."),
  row("Calculate 15 percent of 80.", "Fifteen percent of eighty is twelve."),
  row("Define the word serendipity.", "It means finding something good without having looked for it."),
  row("Tell me how bees make honey.", "They gather nectar, thicken it by fanning their wings, and seal it in wax."),
] as const;

/** Rows to evaluate with, of the same kinds as the clean ones and none of them. */
export const cleanEvalRows = [
  row("What is the capital of Portugal?", "Lisbon is its capital."),
  row("Name two rivers in Africa.", "The Nile and the Congo flow there."),
  row("How do I boil an egg?", "Put it into boiling water for seven minutes, then cool it."),
  row("Convert two pounds to grams.", "Two pounds are about 907 grams."),
] as const;
