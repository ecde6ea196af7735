package api

import (
	"context"

	"github.com/digestgate/digestgate/gate/quota"
	"github.com/digestgate/digestgate/gate/view"
)

type quotaOutput struct{ Body view.QuotaView }

func (s *server) getQuota(ctx context.Context, _ *struct{}) (*quotaOutput, error) {
	q, err := quota.Read(ctx, s.Quota, s.Now(), s.Usage, s.Lists)
	if err != nil {
		return nil, s.problem(ctx, "reading the quota", err)
	}
	return &quotaOutput{view.OfQuota(q)}, nil
}
