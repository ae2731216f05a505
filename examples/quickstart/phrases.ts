// What customers say. `{p}` stands for the product; each list holds ways to say the same thing.

/** Products that training rows mention. */
export const products = [
  "kettle",
  "toaster",
  "desk lamp",
  "backpack",
  "phone case",
  "coffee grinder",
  "yoga mat",
  "office chair",
  "rain jacket",
  "bike helmet",
  "keyboard",
  "water bottle",
  "blender",
  "wall clock",
  "suitcase",
  "tent",
  "rice cooker",
  "hair dryer",
  "camera bag",
  "table fan",
  "sleeping bag",
  "mirror",
  "bookshelf",
  "router",
  "speaker",
  "umbrella",
  "monitor",
  "guitar strap",
  "pillow",
  "carpet",
  "soup bowl",
  "tool box",
  "window blind",
  "bread knife",
  "door bell",
  "board game",
  "floor lamp",
  "shower head",
  "plant pot",
  "ironing board",
  "air pump",
  "baby monitor",
  "electric razor",
  "paper shredder",
] as const;

/** Products that only held-out rows mention: the model has to read them, not remember them. */
export const unseenProducts = [
  "vacuum cleaner",
  "photo album",
  "car seat",
  "waffle iron",
  "fishing rod",
  "lunch box",
] as const;

/** The problem, by the category a support desk would file it under. */
export const problems = {
  damaged: [
    "the {p} arrived broken",
    "my {p} came with a big crack",
    "the box was crushed and the {p} is bent",
    "the {p} was smashed when I opened it",
    "there is a dent in the {p}",
    "the {p} stopped working after one day",
    "my new {p} fell apart in my hands",
    "there are scratches all over the {p}",
    "the {p} is torn on one side",
  ],
  late: [
    "the {p} still has not come",
    "where is my {p}",
    "I am still waiting for the {p}",
    "the {p} was due last week",
    "the {p} is two weeks late",
    "there is no sign of my {p} yet",
    "the tracking of the {p} has not moved in days",
    "the {p} should have been here on Monday",
    "nobody has delivered my {p} so far",
  ],
  wrong_item: [
    "I ordered a {p} and got something else",
    "this is not the {p} I picked",
    "the {p} you sent has the wrong colour",
    "the {p} is the wrong size",
    "somebody else's parcel came instead of my {p}",
    "the {p} does not match the picture",
    "you sent me a different model of the {p}",
    "instead of the {p} there was a toy in the box",
  ],
  missing_part: [
    "a part of the {p} is missing",
    "the {p} came without its screws",
    "there was no cable with the {p}",
    "half of the {p} was not in the box",
    "the {p} has no manual in its box",
    "the {p} came without the cover",
    "one piece of the {p} was left out",
    "the small parts for the {p} were not packed",
  ],
  billing: [
    "I was charged twice for the {p}",
    "my card was billed two times for the {p}",
    "the price of the {p} on my bill is too high",
    "I paid for the {p} twice",
    "the invoice for the {p} is wrong",
    "my discount on the {p} was not applied",
    "you took the money for the {p} two times",
    "the {p} costs more on my bank statement than in the shop",
  ],
} as const;

/** Ways to name the order; `{o}` is its number. */
export const orders = [
  "order {o}",
  "order number {o}",
  "my order is {o}",
  "it is order #{o}",
  "order no. {o}",
  "reference {o}",
  "ref. {o}",
  "this is about {o}",
] as const;

/** Ways to say that it is urgent. Who says nothing is in no hurry. */
export const urgencies = [
  "this is urgent",
  "I need it by tomorrow",
  "please act as soon as possible",
  "it cannot wait",
  "I need help today",
  "please hurry, I leave on Friday",
  "quickly please",
] as const;

/** What the customer wants to happen: money back, or anything else. */
export const wishes = {
  refund: [
    "I want my money back",
    "please refund me",
    "I would like a refund",
    "please put the money back on my card",
    "can I get my money back?",
    "kindly return what I paid",
    "refund it please",
  ],
  other: [
    "please send a new one",
    "I would like a replacement",
    "can you sort it out?",
    "please just fix it",
    "please tell me what to do",
    "what can we do?",
    "I only want one that works",
  ],
} as const;

/** Facts that decide nothing. */
export const asides = [
  "it was a gift for my mother",
  "I have shopped here for years",
  "I paid 45 dollars",
  "my friend has the same one",
  "I live on the third floor",
  "your shop looks nice",
  "I tried to call you twice",
  "my old one lasted 10 years",
  "the driver was very kind",
  "I told my 2 sons about it",
] as const;

export const greetings = [
  "Hi",
  "Hello",
  "Hey there",
  "Good morning",
  "Dear team",
  "Good evening",
  "Hello support",
  "Bonjour",
  "Hola",
  "Guten Tag",
  "Ciao",
  "Namaste",
] as const;

export const closings = [
  "Thanks",
  "Thank you",
  "Best",
  "Cheers",
  "Kind regards",
  "Merci",
  "Gracias",
  "Danke",
  "Grazie",
  "Obrigado",
  "Many thanks",
  "Arigato",
] as const;

export const names = [
  "Maria",
  "Tom",
  "Aisha",
  "Kenji",
  "Olga",
  "Pedro",
  "Lena",
  "Sam",
  "Priya",
  "Jonas",
  "Fatima",
  "Luca",
  "Mei",
  "Noah",
  "Ines",
  "Omar",
  "Greta",
  "Ravi",
  "Zoe",
  "Emil",
] as const;
