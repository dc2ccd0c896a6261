"""Addresses of changes; forms have theirs beside the objects that they edit."""

from django.urls import path

from editing import bulk_views, views

app_name = "editing"
urlpatterns = [
    path("<int:pk>/", views.change, name="change"),
    path("<int:pk>/save/", views.save, name="save"),
    path("<int:pk>/look/", views.look_again, name="look-again"),
    path("<int:pk>/go-on/", views.go_on, name="go-on"),
    path("<int:pk>/discard/", views.discard, name="discard"),
    path("<int:pk>/undo/", views.undo, name="undo"),
    path("<int:pk>/what-if/", views.what_if, name="what-if"),
    path("bulk/<int:pk>/", bulk_views.bulk, name="bulk"),
    path("bulk/<int:pk>/what-if/", bulk_views.bulk_what_if, name="bulk-what-if"),
    path("bulk/<int:pk>/start/", bulk_views.bulk_start, name="bulk-start"),
    path("bulk/<int:pk>/undo/", bulk_views.bulk_undo, name="bulk-undo"),
    path("<int:pk>/positions/", views.positions, name="positions"),
]
