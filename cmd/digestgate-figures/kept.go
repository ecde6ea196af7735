package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// keptParts are what a kept site consists of; the rest of one is made again.
func keptParts() []string { return []string{"data", "generations", "dump.rdb"} }

// takeKept copies what was kept in dir into a site, and reports whether something was.
func (s *site) takeKept(dir string) (bool, error) {
	if dir == "" {
		return false, nil
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return true, copyParts(dir, s.dir)
}

// keep keeps a site that was just filled; "" keeps nothing.
func (s *site) keep(ctx context.Context, dir string) error {
	if dir == "" {
		return nil
	}
	if s.redis != nil {
		if err := redisDo(ctx, strings.TrimPrefix(s.storeURL, "redis://"), "SAVE", "+OK"); err != nil {
			return err
		}
	}
	part := dir + ".part"
	if err := os.MkdirAll(part, 0o700); err != nil {
		return err
	}
	if err := copyParts(s.dir, part); err != nil {
		return errors.Join(err, os.RemoveAll(part))
	}
	return os.Rename(part, dir)
}

func copyParts(from, to string) error {
	for _, name := range keptParts() {
		info, err := os.Stat(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // only Redis has a dump
		}
		if err != nil {
			return err
		}
		if info.IsDir() {
			if err := os.CopyFS(filepath.Join(to, name), os.DirFS(filepath.Join(from, name))); err != nil {
				return err
			}
			continue
		}
		// A server reads it and does not write it, so that both may have the same file.
		if err := os.Link(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			return err
		}
	}
	// CopyFS gives the default mode, and a store's secrets must not be read by others.
	return filepath.WalkDir(to, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && !strings.HasSuffix(path, ".rdb") && !strings.Contains(path, "generations") {
			return os.Chmod(path, 0o600)
		}
		return err
	})
}

// redisAnswers waits until a server has read its dump.
func (s *site) redisAnswers(ctx context.Context, address string) error {
	var err error
	for range 1200 {
		if err = redisDo(ctx, address, "PING", "+PONG"); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.redis.done:
			return fmt.Errorf("starting redis-server: %w", errEnded)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("waiting for redis-server on %s: %w", address, err)
}

// redisDo sends one command without arguments and wants an answer.
func redisDo(ctx context.Context, address, command, want string) error {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "%s\r\n", command); err != nil {
		return err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		return err
	}
	if answer = strings.TrimSpace(answer); answer != want {
		return fmt.Errorf("redis-server answers %s to %s", answer, command)
	}
	return nil
}
