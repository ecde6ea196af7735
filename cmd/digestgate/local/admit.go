package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	admissionv1 "k8s.io/api/admission/v1"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/cmd/digestgate/connect"
	"github.com/digestgate/digestgate/cmd/digestgate/show"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/admission"
)

func NewAdmitCommand(o *app.Options) *cobra.Command {
	var file, server, caFile, cluster string
	cmd := &cobra.Command{
		Use:   "admit -f FILE",
		Short: "Show what admission answers to objects: kustomize build | digestgate admit -f -",
		Long: `Answer the AdmissionReviews in FILE, or the reviews of creating the Kubernetes
objects in it ("-" is standard input): YAML documents, JSON documents one after the
other, Lists. Objects of kinds that admission is never asked about (a Service, a
ConfigMap, a custom resource) are passed over and counted on standard error.
Documents are read and answered one after the other. A document may have at most
16 MiB and 500,000 keys and values.

With --server a running server is asked; without it this process answers from the
configured store, which with the embedded SQLite store works only while no server
runs. A scan that is missing is queued, as for a real request.

Standard output has one AdmissionReview for each object that was reviewed.
Exit status: 0 all allowed, 1 error, 2 at least one denied.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return errors.New(`which file? give -f FILE ("-" is standard input)`)
			}
			if server != "" && cmd.Flags().Changed("cluster") {
				return fmt.Errorf("--cluster and --server exclude each other: a server knows the cluster by its URL, --server https://HOST:8443%s/NAME/TOKEN", admission.BasePath)
			}
			if server == "" && caFile != "" {
				return errors.New("--ca-file is for --server: without it no server is asked")
			}
			in, err := openInput(cmd.InOrStdin(), file)
			if err != nil {
				return err
			}
			defer in.Close()
			a := &admitting{out: cmd.OutOrStdout(), notes: cmd.ErrOrStderr()}
			a.open = func() (connect.Answerer, func() error, error) { return reviewer(o, cmd, server, caFile, cluster) }
			return a.all(cmd.Context(), in, inputName(file))
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "file with reviews or objects, YAML or JSON")
	cmd.Flags().StringVar(&server, "server", "", "URL of the admission listener of a running server, such as https://127.0.0.1:8443")
	cmd.Flags().StringVar(&caFile, "ca-file", "", "certificates that the server's is checked with (its own is in dataDir/tls/ca.crt)")
	cmd.Flags().StringVar(&cluster, "cluster", admission.DefaultCluster, "name of the cluster that asks (without --server)")
	return cmd
}

// reviewer chooses between a running server and the store; done releases it.
func reviewer(o *app.Options, cmd *cobra.Command, server, caFile, cluster string) (connect.Answerer, func() error, error) {
	if server != "" {
		answer, err := connect.Reviewer(server, caFile)
		return answer, func() error { return nil }, err
	}
	c, err := o.Load()
	if err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(c.Admission.Clusters, func(k admission.ClusterConfig) bool { return k.Name == cluster }) {
		return nil, nil, fmt.Errorf("--cluster %s is none of admission.clusters", gate.Quoted(cluster, 100))
	}
	c.Roles = []string{app.RoleAdmission}
	a, err := (&app.App{Config: c, Version: o.Version, Log: o.Logger(cmd.ErrOrStderr()), Metrics: prometheus.NewRegistry(), Asking: true}).Open(cmd.Context())
	if err != nil {
		return nil, nil, err
	}
	r := admission.NewReviewer(c.Admission, a.Lookup(), admission.Options{Log: a.Log})
	return func(ctx context.Context, body []byte) ([]byte, error) {
		resp, err := r.Review(ctx, body, cluster)
		if err != nil {
			return nil, err
		}
		return resp.JSON(), nil
	}, a.Close, nil
}

// inputName is what a file of the command line is called in messages.
func inputName(file string) string {
	if file == "-" {
		return "standard input"
	}
	return fmt.Sprintf("%q", file)
}

// sayPassed reports what was passed over, so that nothing seems reviewed that was not.
func sayPassed(w io.Writer, passed admission.Passed, reviewed int) {
	if len(passed) == 0 {
		return
	}
	n := 0
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(passed)) {
		n += passed[kind]
		list = append(list, fmt.Sprintf("%d %s", passed[kind], kind))
	}
	fmt.Fprintf(w, "passed over %s of kinds that admission is never asked about: %s\n", show.Count(n, "object"), strings.Join(list, ", "))
	if reviewed == 0 {
		fmt.Fprintln(w, "no object was reviewed: none is of a kind with containers")
	}
}

// admitting answers the objects of one input as they are read.
type admitting struct {
	out, notes io.Writer
	// open is called for the first object: an input without any needs neither a
	// store nor a server.
	open   func() (connect.Answerer, func() error, error)
	answer connect.Answerer
	done   func() error

	reviewed, denied int
}

// all prints each answer, and one line about each on notes; the error makes the
// exit status.
func (a *admitting) all(ctx context.Context, in io.Reader, name string) (err error) {
	defer func() {
		if a.done != nil {
			err = errors.Join(err, a.done())
		}
	}()
	var failed error // of a review, not of the input
	passed, err := admission.EachObject(in, func(review admission.WrappedReview) error {
		failed = a.one(ctx, review)
		return failed
	})
	sayPassed(a.notes, passed, a.reviewed)
	if a.reviewed > 0 {
		fmt.Fprintf(a.notes, "%s reviewed: %d allowed, %d denied\n", show.Count(a.reviewed, "object"), a.reviewed-a.denied, a.denied)
	}
	switch {
	case failed != nil:
		return failed
	case err != nil && a.reviewed > 0:
		return fmt.Errorf("%s: %w; what follows it was not reviewed", name, err)
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case a.denied > 0:
		return show.ExitError{Code: show.ExitDeny}
	}
	return nil
}

func (a *admitting) one(ctx context.Context, review admission.WrappedReview) (err error) {
	if a.answer == nil {
		if a.answer, a.done, err = a.open(); err != nil {
			a.answer, a.done = nil, nil
			return err
		}
	}
	about := gate.Printable(review.About, 300)
	raw, err := a.answer(ctx, review.Body)
	if err != nil {
		return fmt.Errorf("reviewing %s: %w", about, err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, raw, "", "  "); err != nil {
		return fmt.Errorf("reading the answer about %s: %w", about, err)
	}
	fmt.Fprintln(a.out, pretty.String())
	var out admissionv1.AdmissionReview
	if err := json.Unmarshal(raw, &out); err != nil || out.Response == nil {
		return fmt.Errorf("reading the answer about %s: %w", about, errors.Join(err, gate.ErrReviewInvalid))
	}
	if a.reviewed++; !out.Response.Allowed {
		a.denied++
	}
	sayAnswer(a.notes, about, out.Response)
	return nil
}

func sayAnswer(w io.Writer, about string, r *admissionv1.AdmissionResponse) {
	word := "allowed"
	if !r.Allowed {
		word = "denied "
	}
	fmt.Fprintf(w, "%s %s\n", word, about)
	if !r.Allowed && r.Result != nil {
		fmt.Fprintf(w, "        %s\n", gate.Printable(r.Result.Message, 1100))
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(w, "        warning: %s\n", gate.Printable(warning, 300))
	}
}
