"""Addresses of the REST API."""

from django.urls import path

from api import open_views
from api.resources import strategies, workspaces

app_name = "api"
urlpatterns = [
    path("", open_views.Index.as_view(), name="index"),
    path("schema/", open_views.Description.as_view(), name="schema"),
    path("problems/<slug:code>/", open_views.ProblemPage.as_view(), name="problem"),
    path("workspaces/", workspaces.Workspaces.as_view(), name="workspaces"),
    path("workspaces/<int:pk>/", workspaces.WorkspaceDetail.as_view(), name="workspace"),
    path("token/", workspaces.TokenDetail.as_view(), name="token"),
    path("strategies/", strategies.Strategies.as_view(), name="strategies"),
    path("strategies/<int:pk>/", strategies.StrategyDetail.as_view(), name="strategy"),
    # not Django's redirect to an address with a slash: it would turn a write into a read
    path("<path:rest>", open_views.Nothing.as_view(), name="nothing"),
]
