package app

import (
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// Options are the flags of every command, and what the program knows of itself.
type Options struct {
	configFile string
	dataDir    string
	set        []string
	fixed      []fixedKey
	LogLevel   string
	logFormat  string
	Environ    []string
	Version    string // of this program
}

// NewOptions are those of a program of a version in an environment.
func NewOptions(environ []string, version string) *Options {
	return &Options{Environ: environ, Version: version}
}

// AddFlags adds the flags of every command to the root.
func (o *Options) AddFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVarP(&o.configFile, "config", "c", "", "configuration file (also DIGESTGATE_CONFIG)")
	flags.StringVar(&o.dataDir, "data-dir", "", "directory of everything that is kept (key dataDir)")
	flags.StringArrayVar(&o.set, "set", nil, "set a key of the configuration, such as scan.timeout=5m (repeatable)")
	flags.StringVar(&o.LogLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&o.logFormat, "log-format", "text", "text or json")
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return o.checkLog() }
}

// Load reads the configuration: flags over environment over file.
func (o *Options) Load() (Config, error) {
	c, err := o.Source().Load()
	return c, ConfigError(err)
}

// Source is where this command line takes its configuration from.
func (o *Options) Source() ConfigSource {
	s := ConfigSource{File: o.configFile, environ: o.Environ, set: o.set, fixed: o.fixed}
	if s.File == "" {
		for _, pair := range o.Environ {
			if file, ok := strings.CutPrefix(pair, EnvPrefix+"CONFIG="); ok {
				s.File = file
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
