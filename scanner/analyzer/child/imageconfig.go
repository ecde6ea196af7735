//go:build goexperiment.jsonv2

package child

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// ociConfig is the part of an image configuration that the inventory records
// (OCI image configuration specification; Docker's has the same names).
type ociConfig struct {
	Created      time.Time `json:"created"`
	Architecture string    `json:"architecture"`
	OS           string    `json:"os"`
	Variant      string    `json:"variant"`
	OSVersion    string    `json:"os.version"`
	Config       struct {
		User         string              `json:"User"`
		ExposedPorts map[string]struct{} `json:"ExposedPorts"`
		Env          []string            `json:"Env"`
		Entrypoint   []string            `json:"Entrypoint"`
		Cmd          []string            `json:"Cmd"`
		Volumes      map[string]struct{} `json:"Volumes"`
		WorkingDir   string              `json:"WorkingDir"`
		Labels       map[string]string   `json:"Labels"`
		StopSignal   string              `json:"StopSignal"`
	} `json:"config"`
	History []struct {
		Created    time.Time `json:"created"`
		CreatedBy  string    `json:"created_by"`
		Comment    string    `json:"comment"`
		EmptyLayer bool      `json:"empty_layer"`
	} `json:"history"`
}

func parseConfig(raw []byte) (*ociConfig, error) {
	var c ociConfig
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, corrupt("reading the image configuration: %w", err)
	}
	return &c, nil
}

func (c *ociConfig) platform() gate.Platform {
	return gate.ConfigPlatform(gate.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant, OSVersion: c.OSVersion})
}

func (c *ociConfig) imageConfig() gate.ImageConfig {
	labels := c.Config.Labels
	if labels == nil {
		labels = map[string]string{}
	}
	return gate.ImageConfig{
		User: c.Config.User, Entrypoint: nonNil(c.Config.Entrypoint), Cmd: nonNil(c.Config.Cmd), Env: nonNil(c.Config.Env),
		ExposedPorts: nonNil(slices.Sorted(maps.Keys(c.Config.ExposedPorts))),
		Volumes:      nonNil(slices.Sorted(maps.Keys(c.Config.Volumes))),
		WorkingDir:   c.Config.WorkingDir, Labels: labels, StopSignal: c.Config.StopSignal,
	}
}

func (c *ociConfig) history() []gate.History {
	out := make([]gate.History, 0, len(c.History))
	for _, h := range c.History {
		out = append(out, gate.History{Created: h.Created, CreatedBy: h.CreatedBy, Comment: h.Comment, EmptyLayer: h.EmptyLayer})
	}
	return out
}
