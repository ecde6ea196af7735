package joined

import (
	"fmt"

	"github.com/digestgate/digestgate/scanner/advisory/download"
	"github.com/digestgate/digestgate/scanner/joined/beside"
	"github.com/digestgate/digestgate/scanner/joined/vex"
)

// BesideSources are the entries of advisories.vex whose documents beside images count.
// gate.ErrInvalid: a key.
func BesideSources(list []vex.Config) (sources []beside.Source, err error) {
	for _, c := range list {
		if !c.Images {
			continue
		}
		s := beside.Source{Config: c}
		if s.Key, err = download.Verifier(c.Key); err == nil {
			s.Trusted, err = vex.Fingerprint(s.Key)
		}
		if err != nil {
			return nil, fmt.Errorf("advisories.vex, %s: %w", c.Name, err)
		}
		sources = append(sources, s)
	}
	return sources, nil
}
