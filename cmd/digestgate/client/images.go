package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

func NewImagesCommand(o *app.Options) *cobra.Command {
	var flags listFlags
	var state, decision, kind, registry, repository, keyword string
	cmd := &cobra.Command{
		Use:   "images [IMAGE]",
		Short: "List the images of a server, or show one",
		Long: `List the images that a server knows, the one seen last first, or show one with its
verdict. IMAGE is a reference (registry.example.com/team/app:1.0), a digest or the
beginning of one (sha256:5f70bf18).`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := errors.Join(
				oneOf("state", state, gate.States()...),
				oneOf("decision", decision, gate.OutcomeAllow, gate.OutcomeWarn, gate.OutcomeDeny, gate.OutcomeNone),
				oneOf("kind", kind, gate.KindImage, gate.KindIndex, gate.KindSignature, gate.KindAttestation, gate.KindSBOM, gate.KindChart, gate.KindArtifact))
			if err != nil {
				return err
			}
			c, err := flags.open(o)
			if err != nil {
				return err
			}
			if len(args) == 1 && args[0] != "list" { // as in "registries list"
				if err := alone(cmd, "IMAGE", "state", "decision", "kind", "registry", "repository", "query"); err != nil {
					return err
				}
				return c.showImage(cmd.Context(), cmd.OutOrStdout(), flags.format, args[0])
			}
			rows, next, err := flags.list(cmd.Context(), c, "images", url.Values{
				"state": {state}, "decision": {decision}, "kind": {kind}, "registry": {registry}, "repository": {repository}, "q": {keyword},
			})
			if err != nil {
				return err
			}
			return printList(cmd.OutOrStdout(), cmd.ErrOrStderr(), flags.format, "images", rows, next,
				"DIGEST\tSTATE\tDECISION\tCRITICAL\tHIGH\tMEDIUM\tLOW\tPLATFORM\tSEEN\tIMAGE", imageLine)
		},
	}
	cmd.AddCommand(newHistoryCommand(o))
	flags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&state, "state", "", "only images in this state, such as scanned or failed")
	f.StringVar(&decision, "decision", "", "only images with this standing verdict: allow, warn, deny or none")
	f.StringVar(&kind, "kind", "", "only this kind, such as image or index")
	f.StringVar(&registry, "registry", "", "only images of this registry, by its configured name")
	f.StringVar(&repository, "repository", "", "only images of this repository, by its full name")
	f.StringVarP(&keyword, "query", "q", "", "only images with this in a repository, a tag or the digest")
	return cmd
}

func imageLine(i view.Image) string {
	counts := "-\t-\t-\t-"
	if i.AnalyzedAt != nil {
		counts = fmt.Sprintf("%d\t%d\t%d\t%d", i.Counts.Critical, i.Counts.High, i.Counts.Medium, i.Counts.Low)
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s", i.Digest.Short(), i.State, i.Decision, counts, show.Cell(i.Platform, 60), since(&i.SeenAt), placesText(i.Locations))
}

// placesText is the first place of an image with its tags, and how many more there
// are.
func placesText(places []view.Place) string {
	if len(places) == 0 {
		return "-"
	}
	text := imagePlace(places[0])
	if len(places) > 1 {
		text += fmt.Sprintf(" and %s", show.Count(len(places)-1, "other place"))
	}
	return text
}

func imagePlace(p view.Place) string {
	text := p.Registry + "/" + p.Repository
	if len(p.Tags) > 0 {
		text += ":" + strings.Join(p.Tags, ",")
	}
	if p.Gone {
		text += " (gone)"
	}
	return gate.Printable(text, 200)
}

func (c *Client) showImage(ctx context.Context, w io.Writer, format, image string) error {
	d, err := c.find(ctx, image)
	if err != nil {
		return err
	}
	var raw json.RawMessage
	if err := c.Call(ctx, http.MethodGet, "/images/"+string(d), nil, &raw); err != nil {
		return err
	}
	if format == "json" {
		return show.PrintJSON(w, raw)
	}
	var v view.ImageDetail
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("reading the server's answer: %w", err)
	}
	if err := show.PrintImage(w, v, show.CountsOf(v)); err != nil {
		return err
	}
	for _, l := range v.Locations {
		fmt.Fprintf(w, "at               %s\n", imagePlace(l.Place))
	}
	if v.Job != nil {
		fmt.Fprintf(w, "job              %s\n", strings.ReplaceAll(jobLine(*v.Job), "\t", "  "))
	}
	return nil
}

// find is the digest of an image that a person names: by digest, by the beginning
// of one, or by a reference whose tag the server has read.
func (c *Client) find(ctx context.Context, image string) (gate.Digest, error) {
	if d := gate.Digest(image); d.Valid() {
		return d, nil
	}
	if hex, ok := strings.CutPrefix(image, "sha256:"); ok {
		return c.beginning(ctx, hex)
	}
	ref, err := gate.ParseReference(image)
	if err != nil || ref.Digest != "" {
		return ref.Digest, err
	}
	var out struct{ Registries []view.Registry }
	if err := c.Call(ctx, http.MethodGet, "/registries", nil, &out); err != nil {
		return "", err
	}
	i := slices.IndexFunc(out.Registries, func(r view.Registry) bool { return r.Host == ref.Host || slices.Contains(r.Aliases, ref.Host) })
	if i < 0 {
		return "", fmt.Errorf("the server has no registry with the host %s; \"digestgate registries list\" shows those that it has", gate.Quoted(ref.Host, 200))
	}
	d, err := c.tagged(ctx, view.Job{Registry: out.Registries[i].Name, Repository: ref.Repository}, ref.Tag)
	if err == nil && d == "" {
		err = fmt.Errorf("the server knows no image at %s; \"digestgate scan %s\" asks for its scan", gate.Printable(ref.String(), 400), gate.Printable(image, 400))
	}
	return d, err
}

// minBeginning is how many hexadecimal digits of a digest are enough to look for it.
const minBeginning = 6

func (c *Client) beginning(ctx context.Context, hex string) (gate.Digest, error) {
	if len(hex) < minBeginning || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%s is not a digest, nor at least %d digits of the beginning of one", gate.Quoted("sha256:"+hex, 100), minBeginning)
	}
	var found []string
	err := c.eachImage(ctx, url.Values{"q": {"sha256:" + hex}}, func(i view.Image) bool {
		if strings.HasPrefix(string(i.Digest), "sha256:"+hex) {
			found = append(found, string(i.Digest))
		}
		return true
	})
	if err != nil {
		return "", err
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("the server knows no image whose digest begins with sha256:%s", hex)
	case 1:
		return gate.Digest(found[0]), nil
	}
	return "", fmt.Errorf("the digests of %d images begin with sha256:%s; give more digits", len(found), hex)
}
