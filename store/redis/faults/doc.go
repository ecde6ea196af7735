// Package faults holds a test that breaks a shared store while several processes
// work on it, and then counts: the rules of DESIGN.md §5 must hold after any
// crash, retry, duplicate and failover.
//
// Pushers take deliveries in, workers (work.Worker and pipeline.Pipeline over
// store/redis) resolve and analyse, readers decide admissions. Each is a process
// of its own and writes down what it was told. A nemesis kills and stops them, and kills,
// restarts, fails over and cuts off the servers. At the end everything is healed,
// the registry is synchronised once, the queue drained, and swept once; then the
// history is checked against the store. Analysis and registry are scripted, they
// are not what is tested.
//
// The seed decides the faults and what each process asks for, not how they
// interleave. See docs/redis.md, "Faults", for the commands.
package faults
