package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/digestgate/digestgate/policy"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/registry/fake"
	"github.com/digestgate/digestgate/store/storetest/stock"
)

// flip measures the way of advisory data from a repository on loopback: how long a new
// installation takes until it can match, and how long it takes from one advisory that is
// published, and asked for, until reviews of an image that it concerns are denied by every
// process. On Redis there are two processes, on SQLite one.
func (b *bench) flip(ctx context.Context, _ *site) (err error) {
	s, err := b.empty(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	registry, err := fake.Start(fake.Options{})
	if err != nil {
		return err
	}
	defer registry.Close()
	s.repository = registry.Host + "/" + databaseRepository + ":" + databaseTag
	var layers [2][]byte
	for k, g := range []stock.Generation{stock.First, stock.Denying} {
		if layers[k], err = b.layer(ctx, s, g, time.Now().Add(time.Duration(k-3)*time.Hour)); err != nil {
			return err
		}
	}
	if err := publish(registry, layers[0]); err != nil {
		return err
	}
	size := fmt.Sprintf("%.1f MiB compressed", float64(len(layers[0]))/(1<<20))
	began := time.Now()
	srv, err := s.serve(ctx, roles)
	if err != nil {
		return err
	}
	loaded, err := srv.log.wait(ctx, 0, says(inUse))
	spent := srv.spent()
	srv.stop()
	if err != nil {
		return err
	}
	b.table.add("first start of an empty installation until its data can be used, from a registry on loopback, "+size, b.kind,
		fmt.Sprintf("%s, %s of processor time", short(loaded.at.Sub(began)), short(spent)))
	b.say("storing %d images", s.stock.Images())
	if err := s.fillFrom(ctx, s.generation(stock.First), 1); err != nil {
		return err
	}
	return b.published(ctx, s, registry, layers[1], size)
}

// published starts the processes, publishes a layer and waits for the denials.
func (b *bench) published(ctx context.Context, s *site, registry *fake.Registry, layer []byte, size string) error {
	sites := []*site{s}
	if s.redis != nil {
		other := *s
		other.dir = filepath.Join(s.dir, "other")
		if err := os.MkdirAll(filepath.Join(other.dir, "data"), 0o700); err != nil {
			return err
		}
		if _, err := policy.WriteStarter(filepath.Join(other.dir, "policies")); err != nil {
			return err
		}
		sites = append(sites, &other)
	}
	var servers []*server
	for _, one := range sites {
		srv, err := one.serve(ctx, roles)
		if err != nil {
			return err
		}
		defer srv.stop()
		servers = append(servers, srv)
	}
	body := asks(s.stock, stock.DeniedImage)
	for _, srv := range servers {
		if _, err := srv.log.wait(ctx, 0, says(inUse)); err != nil {
			return err
		}
		if err := srv.until(ctx, servers[0], body, allowed); err != nil {
			return err
		}
		if _, err := srv.idle(ctx); err != nil {
			return err
		}
	}
	began, mark := time.Now(), servers[0].log.mark()
	if err := publish(registry, layer); err != nil {
		return err
	}
	if err := servers[0].call(ctx, http.MethodPost, "/advisories/update", struct{}{}, new(any)); err != nil {
		return err
	}
	denied := make(chan error, len(servers))
	after := make([]time.Duration, len(servers))
	for i, srv := range servers {
		go func() {
			err := srv.until(ctx, servers[0], body, deniedByPolicy)
			after[i] = time.Since(began)
			denied <- err
		}()
	}
	var errs []error
	for range servers {
		errs = append(errs, <-denied)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	cell := "denied after " + short(after[0])
	for _, d := range after[1:] {
		cell += " by the process that was asked to look for data, " + short(d) + " by the other"
	}
	if swept, ok := servers[0].log.find(mark, says(matchedAgain)); ok {
		cell += fmt.Sprintf("; %d images matched by a sweep", swept.number("matched"))
	}
	b.table.add(fmt.Sprintf("flip of one advisory that a twentieth of %d images has, %s", s.stock.Images(), size), b.kind, cell)
	return nil
}

// until sends a review until it is answered so.
func (s *server) until(ctx context.Context, tls *server, body []byte, want string) error {
	t := newTarget(tls, s.addresses[listenAdmission], s.process)
	for i := 0; ; i++ {
		said := t.send(ctx, i, review{body: body})
		if said == want {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("reviews are answered %s, want %s: %w", said, want, context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// asks is the body of a review of one image.
func asks(s *stock.Stock, image int) []byte {
	return fmt.Appendf(nil, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"11111111-2222-3333-4444-555555555555",`+
		`"kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"name":"app","namespace":"team",`+
		`"operation":"CREATE","userInfo":{"username":"figures"},"object":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"app","namespace":"team"},`+
		`"spec":{"containers":[{"name":"c","image":"%s/%s@%s"}]}}}}`, harborHost, s.Repository(image), s.Digest(image))
}

// empty is a site in whose store is nothing.
func (b *bench) empty(ctx context.Context) (s *site, err error) {
	s = &site{
		dir: filepath.Join(b.dir, "flip"), out: b.out, program: b.program, analyzer: b.analyzer,
		stock: stock.New(stock.Options{Images: max(b.small, stock.Combinations), Seed: b.seed, Now: time.Now().UTC().Truncate(time.Second)}),
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "data"), 0o700); err != nil {
		return nil, err
	}
	if _, err := policy.WriteStarter(filepath.Join(s.dir, "policies")); err != nil {
		return nil, err
	}
	return s, s.openStore(ctx, b.kind)
}

// What a registry calls Trivy's database.
const databaseRepository, databaseTag = "mirror/trivy-db", "2"

func publish(registry *fake.Registry, layer []byte) error {
	const config = "application/vnd.aquasec.trivy.config.v1+json"
	_, err := registry.PutArtifact(databaseRepository, databaseTag, fake.Artifact{
		ArtifactType: config, Config: fake.Blob{MediaType: config, Content: []byte("{}")},
		Layers: []fake.Blob{{
			MediaType: "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip", Content: layer,
			Annotations: map[string]string{"org.opencontainers.image.title": "db.tar.gz"},
		}},
	})
	return err
}

// layer builds a generation as the layer that a registry has of it; its directory stays.
func (b *bench) layer(ctx context.Context, s *site, g stock.Generation, updated time.Time) ([]byte, error) {
	sources := filepath.Join(s.dir, "sources")
	if err := s.stock.WriteSources(sources, g); err != nil {
		return nil, err
	}
	dir := s.generation(g)
	if _, err := advisory.Build(ctx, advisory.BuildOptions{From: os.DirFS(sources), Out: dir, UpdatedAt: updated}); err != nil {
		return nil, err
	}
	if err := pad(filepath.Join(dir, "trivy.db"), b.mib<<20/compressedAdvisory); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	zip, err := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(zip)
	for _, name := range []string{"trivy.db", "metadata.json"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = archive.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), Typeflag: tar.TypeReg})
		}
		if err == nil {
			_, err = archive.Write(content)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := errors.Join(archive.Close(), zip.Close()); err != nil { // which write what is left
		return nil, err
	}
	return out.Bytes(), nil
}

// compressedAdvisory is how many bytes an advisory takes in a compressed database, and
// padRelease the release that the filling is of, which no image of a stock has.
const compressedAdvisory, padRelease = 36, "debian 10"

// pad adds advisories that concern no image to a database, the same ones to each.
func pad(path string, advisories int) error {
	if advisories == 0 {
		return nil
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{NoSync: true, NoFreelistSync: true})
	if err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(1, 2))
	for n := 0; n < advisories && err == nil; {
		err = db.Update(func(tx *bolt.Tx) error {
			root, err := tx.CreateBucketIfNotExists([]byte(padRelease))
			if err != nil {
				return err
			}
			for range 20_000 {
				of, err := root.CreateBucketIfNotExists(fmt.Appendf(nil, "package-%07d", n/10))
				if err != nil {
					return err
				}
				value := fmt.Appendf(nil, `{"FixedVersion":"%d.%d.%d-%d.deb10_%d","VendorIDs":["DSA-%d"],"Severity":3,"Status":3,"References":["https://example.com/CVE-%d"],"Description":"A flaw was found in a package that no image of the figures has, and that fills the database to its real size"}`,
					random.IntN(9), random.IntN(99), random.IntN(99), random.IntN(99), random.IntN(9), random.IntN(9999), random.IntN(99999))
				if err := of.Put(fmt.Appendf(nil, "CVE-%d-%d", 2010+n%16, n), value); err != nil {
					return err
				}
				if n++; n >= advisories {
					break
				}
			}
			return nil
		})
	}
	return errors.Join(err, db.Close())
}
