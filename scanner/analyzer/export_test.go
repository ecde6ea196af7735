package analyzer

// Started is how many children were started until now.
func (a *Analyzer) Started() int { return int(a.launcher.started.Load()) }

// AheadMemory is what a child that waits may take, in bytes.
const AheadMemory = aheadMemory

// AnonymousMemory is the memory of a process that is not backed by files, in bytes.
func AnonymousMemory(pid int) int64 { return anonymousMemory(pid) }

// Idle are the processes of the children that wait for work, when nothing is being
// started.
func (a *Analyzer) Idle() []int {
	a.launcher.ahead.running.Wait()
	a.launcher.ahead.mu.Lock()
	defer a.launcher.ahead.mu.Unlock()
	var pids []int
	for _, p := range a.launcher.ahead.idle {
		pids = append(pids, p.cmd.Process.Pid)
	}
	return pids
}
