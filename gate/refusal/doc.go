// Package refusal is the one place for what a refusal says. A refusal is a
// [gate.Text]: a key of the table here and the values of its parameters. Admission, the
// API, the console and the command line make words of it with [English]; another
// language is another [Language], whose Missing says what it does not translate.
//
// The table says of each key which parameters it has, who has to do something, and
// whether a controller that retries gets further by itself. What comes from outside (a
// name, what hashed bytes hold, what a store reports) is cleaned, quoted and cut by the
// kind of its parameter, here and nowhere else.
//
// What a person wrote is not in it: the messages of policies, and the details that are
// found where an input is read (a reference, a review), which are parameters.
package refusal
