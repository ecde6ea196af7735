package view

import (
	"time"

	"github.com/digestgate/digestgate/gate"
)

// PoliciesView is the set of policies in force.
type PoliciesView struct {
	Activation  int64             `json:"activation" doc:"number of the activation; a later one has a higher number, also of a content that was in force before"`
	Content     gate.Digest       `json:"content" doc:"digest of the files"`
	ActivatedAt time.Time         `json:"activatedAt"`
	By          string            `json:"by" doc:"the process that activated it: host and process id"`
	Program     string            `json:"program" doc:"its version"`
	Files       []gate.PolicyFile `json:"files" doc:"without tests; names begin where the paths of the files differ"`
}

// OfPolicies is the view of a set of policies.
func OfPolicies(p gate.PolicySet) PoliciesView {
	return PoliciesView{
		Activation: p.Number, Content: p.Content, ActivatedAt: p.ActivatedAt.UTC(), By: p.By, Program: p.Program, Files: orEmpty(p.Files),
	}
}
