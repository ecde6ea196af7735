package gate

import "slices"

// The kinds of gap: what an analyser could not do with a file. They stand in
// [AnalyzerError.Kind], in what refuses an image and in policy.allowIncomplete
// ("vulnerabilities/jar-without-coordinates"), so a word never changes its
// meaning. A new kind goes in [GapKinds] and in docs/scanning.md.
const (
	// GapUnreadable is a file that an analyser takes and cannot read or parse.
	GapUnreadable = "unreadable-file"
	// GapTooLarge is a file over the limit for what an analyser may be given.
	GapTooLarge = "too-large-file"
	// GapAnalyzerFailed is an analyser that ended with an error about no file in
	// particular: nothing tells how many files that concerns.
	GapAnalyzerFailed = "analyzer-failed"
	// GapJarWithoutCoordinates is a Java archive that does not name itself.
	GapJarWithoutCoordinates = "jar-without-coordinates"
	// GapUnidentified is an installed package whose description can be read and
	// gives no name that can be published, or no version.
	GapUnidentified = "unidentified-package"
	// GapPlugAndPlay is a Node application whose packages are in Yarn's zip
	// files.
	GapPlugAndPlay = "yarn-plug-and-play"
	// GapBitnamiComponent is a program that Bitnami compiled into opt/bitnami and
	// of which no analyser found more than Bitnami's own description.
	GapBitnamiComponent = "bitnami-component"
)

// GapKinds lists every kind of gap in the order in which they are shown.
func GapKinds() []string {
	return []string{GapUnreadable, GapTooLarge, GapAnalyzerFailed, GapJarWithoutCoordinates, GapUnidentified, GapPlugAndPlay, GapBitnamiComponent}
}

// GapKindsOf lists the kinds of gap that can make the risk partial.
func GapKindsOf(r Risk) []string {
	switch r {
	case RiskVulnerabilities:
		return GapKinds()
	case RiskSecrets:
		return slices.DeleteFunc(GapKinds(), func(k string) bool {
			return k != GapUnreadable && k != GapTooLarge && k != GapAnalyzerFailed
		})
	}
	return nil
}
