package work

import "sync"

// holding counts a worker's running jobs by registry. The zero value is ready;
// it is safe for concurrent use.
type holding struct {
	mu   sync.Mutex
	jobs map[string]int
}

func (h *holding) take(registry string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.jobs == nil {
		h.jobs = map[string]int{}
	}
	h.jobs[registry]++
}

func (h *holding) give(registry string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.jobs[registry]--; h.jobs[registry] == 0 {
		delete(h.jobs, registry)
	}
}

// allBut is the registry that has n or more running jobs while no other has one;
// "" when there is none or n is 0.
func (h *holding) allBut(n int) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for registry, jobs := range h.jobs {
		if n > 0 && len(h.jobs) == 1 && jobs >= n {
			return registry
		}
	}
	return ""
}
