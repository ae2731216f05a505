// What is minimised over the supervised tokens, as data.

/**
 * A named objective: the loss of a token is a function of what the model says about that token alone, so forward and backward are one
 * pass. The engine refuses one it does not know.
 */
export type Objective = { type: "nll" };
