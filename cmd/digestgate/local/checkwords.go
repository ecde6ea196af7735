package local

import (
	"regexp"
	"slices"
	"strings"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/gate/view"
)

// madeRegistry is the name that policies see of a registry that is not configured.
const madeRegistry = "command-line"

// inFlags rewrites text for the operator of a server in the words of the command
// line: the host instead of a name that the user never gave, flags instead of keys of
// a configuration that does not exist.
func (k *check) inFlags(text string) string {
	if !k.made {
		return withSet(text)
	}
	host := k.ref.Host
	text = strings.NewReplacer(
		`"`+madeRegistry+`"`, `"`+host+`"`,
		`"`+madeRegistry+`/`, `"`+host+`/`,
		madeRegistry+"/", host+"/",
		"set plainHTTP if that is intended", "give --plain-http if that is intended",
		"(does it want https? then remove plainHTTP)", "(does it want https? then leave out --plain-http)",
		"configure caFile", "give a file with that authority's certificate with --ca-file",
		"check host and the name service", "check the name and the name service of this machine",
		"check username, passwordFile and the account's permission to pull", k.loginAdvice()+", with an account that may pull",
		"configure username and passwordFile", k.loginAdvice(),
		"check username and passwordFile", k.loginAdvice()+" again",
	).Replace(text)
	if key := keyOfRegistry.FindString(text); key != "" {
		text += "; " + key + " is a key of a configured registry: list " + host + " under registries in a configuration file, and give that file with -c"
	}
	return withSet(text)
}

func (k *check) loginAdvice() string {
	advice := `log in with "docker login ` + k.ref.Host + `"`
	if k.anonymous {
		advice = "there was no login: " + advice
	}
	return advice
}

// keyOfRegistry matches keys that are still in a text because no flag replaces them.
var keyOfRegistry = regexp.MustCompile(`\b(tokenHosts|blobHosts|aliases|insecureSkipVerify|passwordFile|caFile|plainHTTP)\b`)

// setKey matches keys that --set can change for one check.
var setKey = regexp.MustCompile(`\bscan\.[a-z][A-Za-z]*(?:\.[a-z][A-Za-z]*)*`)

// withSet adds how a key that the text names is set on the command line.
func withSet(text string) string {
	if strings.Contains(text, "--set ") {
		return text
	}
	for _, key := range setKey.FindAllString(text, 3) {
		if slices.Contains(app.KeyPaths(), key) {
			return text + "; give another value with --set " + key + "=VALUE"
		}
	}
	return text
}

// resultInFlags is inFlags for the texts of a result.
func (k *check) resultInFlags(r *CheckResult) {
	image := func(v *view.ImageDetail) {
		v.Unassessable = k.inFlagsIfAny(v.Unassessable)
		if v.Verdict == nil {
			return
		}
		verdict := *v.Verdict
		verdict.Reasons = slices.Clone(verdict.Reasons)
		for i := range verdict.Reasons {
			if verdict.Reasons[i].Rule == "" { // not the words of a policy
				verdict.Reasons[i].Msg = k.inFlags(verdict.Reasons[i].Msg)
			}
		}
		v.Verdict = &verdict
	}
	image(&r.ImageDetail)
}

func (k *check) inFlagsIfAny(text string) string {
	if text == "" {
		return ""
	}
	return k.inFlags(text)
}
