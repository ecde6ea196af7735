package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/digestgate/digestgate/gate"
)

// Notifications are the targets of notifications and what became of their messages;
// notify.Service implements it. No answer has a secret of a target.
type Notifications interface {
	// List are all targets. gate.ErrStoreUnavailable: 503.
	List(ctx context.Context) ([]gate.NotificationTarget, error)
	// Target is one of them. gate.ErrNotFound: 404; gate.ErrStoreUnavailable: 503.
	Target(ctx context.Context, name string) (gate.NotificationTarget, error)
	// Add sets a new target. gate.ErrInvalid: what is wrong with it, or its host is not in
	// outbound.allow, 422; gate.ErrConflict: the name is taken, or there are too many, 409;
	// gate.ErrStoreUnavailable: it may be set or not, 503.
	Add(ctx context.Context, in gate.NotificationRequest) (gate.NotificationTarget, error)
	// Replace replaces a target that was set through the API, its secrets too. Errors: those
	// of Add; gate.ErrNotFound: 404.
	Replace(ctx context.Context, in gate.NotificationRequest) (gate.NotificationTarget, error)
	// Remove removes one, with what waits for it. gate.ErrNotFound: 404; gate.ErrConflict: it
	// is of the configuration file, 409; gate.ErrStoreUnavailable: 503.
	Remove(ctx context.Context, name string) error
	// Test sends a test and waits for the answer. gate.ErrNotFound: 404; gate.ErrInvalid: the
	// target cannot be used, 422; gate.ErrStoreUnavailable: 503.
	Test(ctx context.Context, name string) (gate.NotificationDelivery, error)
	// Deliveries are the last ones of a target, or of all for "", the newest first.
	// gate.ErrNotFound: 404; gate.ErrStoreUnavailable: 503.
	Deliveries(ctx context.Context, name string) ([]gate.NotificationDelivery, error)
	// Redeliver queues a message again that is kept. gate.ErrNotFound: it is not, 404;
	// gate.ErrConflict: it waits already, 409; gate.ErrStoreUnavailable: 503.
	Redeliver(ctx context.Context, id string) (gate.NotificationDelivery, error)
}

const notificationsPath = "/notifications"

// registerNotifications adds the operations about notifications. Like all of the API they
// need the admin token.
func (s *server) registerNotifications(api huma.API) {
	const path, one = notificationsPath, notificationsPath + "/{name}"
	huma.Register(api, operation(http.MethodGet, path, "list-notifications", "List notification targets", "digestgate notifications list"), s.listNotifications)
	add := operation(http.MethodPost, path, "add-notification", "Set a new notification target", "digestgate notifications add")
	add.DefaultStatus = http.StatusCreated
	huma.Register(api, add, s.addNotification)
	huma.Register(api, operation(http.MethodGet, path+"/deliveries", "list-deliveries", "List the last deliveries of notifications, the newest first", "digestgate notifications deliveries"), s.listDeliveries)
	redeliver := operation(http.MethodPost, path+"/deliveries/{id}/redeliver", "redeliver-notification", "Send a notification again", "digestgate notifications redeliver")
	redeliver.DefaultStatus = http.StatusAccepted
	huma.Register(api, redeliver, s.redeliver)
	huma.Register(api, operation(http.MethodGet, one, "get-notification", "One notification target", "digestgate notifications show"), s.getNotification)
	huma.Register(api, operation(http.MethodPut, one, "replace-notification", "Replace a notification target, with its secrets", "digestgate notifications add --replace"), s.replaceNotification)
	huma.Register(api, operation(http.MethodDelete, one, "remove-notification", "Remove a notification target, with the messages that wait for it", "digestgate notifications remove"), s.removeNotification)
	huma.Register(api, operation(http.MethodPost, one+"/test", "test-notification", "Send a test to a target, and answer with the status and the duration", "digestgate notifications test"), s.testNotification)
}

// withoutValues keeps what was sent out of the answers about notifications: a refused
// request has secrets in it, and answers are logged by those who ask.
func withoutValues(ctx huma.Context, _ string, v any) (any, error) {
	op := ctx.Operation()
	if op == nil || !strings.HasPrefix(op.Path, "/api/v1"+notificationsPath) {
		return v, nil
	}
	if e, ok := v.(*huma.ErrorModel); ok {
		for _, detail := range e.Errors {
			detail.Value = nil
		}
	}
	return v, nil
}

func (s *server) notifications() (Notifications, error) {
	if s.Notifications == nil {
		return nil, fmt.Errorf("this process has no notifications: %w", gate.ErrNotFound)
	}
	return s.Notifications, nil
}

type notificationOutput struct{ Body gate.NotificationTarget }

type deliveryOutput struct{ Body gate.NotificationDelivery }

// ofNotifications calls one operation and renders its failure.
func ofNotifications[T any](ctx context.Context, s *server, doing string, call func(Notifications) (T, error)) (T, error) {
	var none T
	n, err := s.notifications()
	if err != nil {
		return none, s.problem(ctx, doing, err)
	}
	v, err := call(n)
	if err != nil {
		return none, s.problem(ctx, doing, err)
	}
	return v, nil
}

type notificationsOutput struct {
	Body struct {
		Targets []gate.NotificationTarget `json:"targets"`
	}
}

func (s *server) listNotifications(ctx context.Context, _ *struct{}) (*notificationsOutput, error) {
	list, err := ofNotifications(ctx, s, "listing the targets of notifications", func(n Notifications) ([]gate.NotificationTarget, error) { return n.List(ctx) })
	out := &notificationsOutput{}
	out.Body.Targets = list
	return out, err
}

type notificationInput struct {
	Name string `path:"name" maxLength:"63"`
}

func (s *server) getNotification(ctx context.Context, in *notificationInput) (*notificationOutput, error) {
	v, err := ofNotifications(ctx, s, "reading a target of notifications", func(n Notifications) (gate.NotificationTarget, error) { return n.Target(ctx, in.Name) })
	return &notificationOutput{v}, err
}

type addNotificationInput struct{ Body gate.NotificationRequest }

func (s *server) addNotification(ctx context.Context, in *addNotificationInput) (*notificationOutput, error) {
	v, err := ofNotifications(ctx, s, "setting a target of notifications", func(n Notifications) (gate.NotificationTarget, error) { return n.Add(ctx, in.Body) })
	if err == nil {
		s.Log.InfoContext(ctx, "a notification target was set", "target", v.Name)
	}
	return &notificationOutput{v}, err
}

type replaceNotificationInput struct {
	Name string `path:"name" maxLength:"63"`
	Body gate.NotificationRequest
}

func (s *server) replaceNotification(ctx context.Context, in *replaceNotificationInput) (*notificationOutput, error) {
	if in.Body.Name != in.Name {
		return nil, huma.Error422UnprocessableEntity("name: it differs from the name in the path; a target keeps its name")
	}
	v, err := ofNotifications(ctx, s, "replacing a target of notifications", func(n Notifications) (gate.NotificationTarget, error) { return n.Replace(ctx, in.Body) })
	if err == nil {
		s.Log.InfoContext(ctx, "a notification target was set", "target", v.Name)
	}
	return &notificationOutput{v}, err
}

func (s *server) removeNotification(ctx context.Context, in *notificationInput) (*struct{}, error) {
	_, err := ofNotifications(ctx, s, "removing a target of notifications", func(n Notifications) (struct{}, error) { return struct{}{}, n.Remove(ctx, in.Name) })
	if err == nil {
		s.Log.InfoContext(ctx, "a notification target was removed", "target", in.Name)
	}
	return nil, err
}

func (s *server) testNotification(ctx context.Context, in *notificationInput) (*deliveryOutput, error) {
	v, err := ofNotifications(ctx, s, "testing a target of notifications", func(n Notifications) (gate.NotificationDelivery, error) { return n.Test(ctx, in.Name) })
	return &deliveryOutput{v}, err
}

type listDeliveriesInput struct {
	Target string `query:"target" maxLength:"63" doc:"only deliveries of this target"`
}

type deliveriesOutput struct {
	Body struct {
		Deliveries []gate.NotificationDelivery `json:"deliveries"`
	}
}

func (s *server) listDeliveries(ctx context.Context, in *listDeliveriesInput) (*deliveriesOutput, error) {
	list, err := ofNotifications(ctx, s, "listing deliveries", func(n Notifications) ([]gate.NotificationDelivery, error) { return n.Deliveries(ctx, in.Target) })
	out := &deliveriesOutput{}
	out.Body.Deliveries = list
	return out, err
}

type redeliverInput struct {
	ID string `path:"id" maxLength:"70"`
}

func (s *server) redeliver(ctx context.Context, in *redeliverInput) (*deliveryOutput, error) {
	v, err := ofNotifications(ctx, s, "sending a notification again", func(n Notifications) (gate.NotificationDelivery, error) { return n.Redeliver(ctx, in.ID) })
	return &deliveryOutput{v}, err
}
