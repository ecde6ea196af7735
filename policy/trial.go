package policy

import "context"

// Trial tries a candidate set before it is activated.
type Trial func(ctx context.Context, files []File) error
