package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/digestgate/digestgate/gate/agree"
	"github.com/digestgate/digestgate/store"
	"github.com/digestgate/digestgate/store/redis"
)

// Movable is a store that can be copied to and from.
type Movable interface {
	store.Store
	store.Exporter
	store.Importer
}

// Open opens a store by its configuration, also one to which a copy is not finished.
type Open func(ctx context.Context, c store.Config) (Movable, error)

// Sides completes the two ends of a copy: what the configuration of the source leaves
// out is that of the target, and a store that is not shared has nothing but its URL.
// It validates neither.
func Sides(from, to store.Config) (source, target store.Config) {
	if to.Prefix == "" {
		to.Prefix = store.Default().Prefix
	}
	for _, f := range []struct{ own, other *string }{
		{&from.Username, &to.Username}, {&from.PasswordFile, &to.PasswordFile}, {&from.CAFile, &to.CAFile},
		{&from.Prefix, &to.Prefix}, {&from.MACKeyFile, &to.MACKeyFile},
	} {
		if *f.own == "" {
			*f.own = *f.other
		}
	}
	for _, c := range []*store.Config{&from, &to} {
		if !c.Shared() {
			*c = store.Config{URL: c.URL}
		}
	}
	return from, to
}

// Between copies the one store to the other and compares them; see [Copy.Run] for the
// errors. Errors about one of the two begin with the flag that names it.
func Between(ctx context.Context, source, target store.Config, open Open, log *slog.Logger) (result Result, err error) {
	name, err := source.Name()
	if err != nil {
		return result, err
	}
	if other, err := target.Name(); err != nil || other == name {
		return result, errors.Join(err, fmt.Errorf("the source and the target are the same store %q", name))
	}
	if path, err := source.SQLitePath(); err == nil { // opening it would make it
		if _, err := os.Stat(path); err != nil {
			return result, fmt.Errorf("--from: %w", err)
		}
	}
	from, err := open(ctx, source)
	if err != nil {
		return result, fmt.Errorf("--from: %w", err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if err := Refuse(ctx, from); err != nil {
		return result, fmt.Errorf("--from: %w", err)
	}
	to, err := open(ctx, target)
	if err != nil {
		return result, fmt.Errorf("--to: %w", err)
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	c := Copy{From: from, To: to, Name: name, Skip: secretsLeft(target), Log: log}
	return c.Run(ctx)
}

// secretsLeft leaves the secrets that processes share out of a copy when those of
// the target could not read them: they are encrypted with the MAC key. The first
// server of the target puts its own there then.
func secretsLeft(target store.Config) func(context.Context, store.Piece) string {
	return func(_ context.Context, p store.Piece) string {
		if !slices.Contains(agree.Secrets(), p.Name) {
			return ""
		}
		keys, err := redis.ReadKeys(target.MACKeyFile)
		switch {
		case agree.Opens(p.Name, keys, p.Setting.Value):
			return ""
		case err != nil && target.Shared():
			return "the MAC key cannot be read"
		}
		return "it is encrypted with another MAC key; the first server of the target puts that of its dataDir there"
	}
}
