// Package policy answers "may this image run?" with the Rego rules of the
// operator: it implements standing.Evaluator on the Open Policy Agent's library.
//
// A rule sees one total document, described by schema.json, in which no field
// is ever absent: a Rego rule that meets an absent field does not fail, it does
// not fire, and that would be an image let in. The same schema type-checks the
// rules when they are loaded, so that a misspelt field is an error with a line
// and a column and never a rule that is silent for ever.
//
// Rules are code from strangers. They run under an allow-list of builtins
// (capabilities.go), with strict builtin errors, in a bounded pool with a
// budget of its own (pool.go), and a set is first tried in a disposable child
// process (trial.go). Whatever goes wrong is a deny with POLICY_ERROR; there is
// no path from a failure to an allow.
//
// The set in force is content in the store (active.go), so that all processes
// that share it decide by the same. A change of the files of one puts a set in
// force for all, by the mechanism of gate/agree: docs/adr/0010-active-policies.md.
//
// What is not here: where findings come from, what admission answers, and any
// I/O while deciding, except through gate.Question.Load on a cache miss.
//
// [Engine] decides; [Active] is an engine that stays with what is in force. Both
// are safe for concurrent use. [Set] is immutable.
package policy
