package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// rootOptions are the flags of every command, and what the program knows of itself.
type rootOptions struct {
	configFile string
	dataDir    string
	set        []string
	fixed      []fixedKey
	logLevel   string
	logFormat  string
	environ    []string
	version    string // of this program
}

// newRootOptions are those of a program of a version in an environment.
func newRootOptions(environ []string, version string) *rootOptions {
	return &rootOptions{environ: environ, version: version}
}

// addFlags adds the flags of every command to the root.
func (o *rootOptions) addFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVarP(&o.configFile, "config", "c", "", "configuration file (also DIGESTGATE_CONFIG)")
	flags.StringVar(&o.dataDir, "data-dir", "", "directory of everything that is kept (key dataDir)")
	flags.StringArrayVar(&o.set, "set", nil, "set a key of the configuration, such as scan.timeout=5m (repeatable)")
	flags.StringVar(&o.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&o.logFormat, "log-format", "text", "text or json")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return o.checkLog() }
}

// load reads the configuration: flags over environment over file.
func (o *rootOptions) load() (Config, error) {
	c, err := o.source().load()
	return c, configError(err)
}

// source is where this command line takes its configuration from.
func (o *rootOptions) source() configSource {
	s := configSource{file: o.configFile, environ: o.environ, set: o.set, fixed: o.fixed}
	if s.file == "" {
		for _, pair := range o.environ {
			if file, ok := strings.CutPrefix(pair, envPrefix+"CONFIG="); ok {
				s.file = file
			}
		}
	}
	if o.dataDir != "" {
		s.fixed = append(slices.Clone(s.fixed), fixedKey{"--data-dir", "dataDir", o.dataDir})
	}
	return s
}

func indent(err error) error {
	return errors.New("  " + strings.ReplaceAll(err.Error(), "\n", "\n  "))
}
