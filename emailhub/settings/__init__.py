"""Settings: from the environment, `.env`, a TOML file and flags to one frozen value, checked as a whole.

loaded = load(os.environ, dotenv_path=Path(".env"), toml_path=Path("emailhub.toml"), flags={"port": "8080"})
loaded.settings.port, loaded.sources["EMAILHUB_PORT"], loaded.warnings
"""

from emailhub.settings.catalog import fields
from emailhub.settings.describe import (
    BEGIN,
    END,
    KEYS_BEGIN,
    KEYS_END,
    Entry,
    describe,
    documentation,
    keys_markdown,
    markdown,
)
from emailhub.settings.fields import Settings
from emailhub.settings.findings import Problem, SettingsError
from emailhub.settings.loading import Loaded, discover, load
from emailhub.settings.secret import Secret, SecretLink, SecretUrl, enc_hook
from emailhub.settings.tables import DEFAULT_RELAY, DestinationSettings, DkimSettings, OAuth2Settings, RelaySettings

__all__ = [
    "BEGIN",
    "DEFAULT_RELAY",
    "END",
    "KEYS_BEGIN",
    "KEYS_END",
    "DestinationSettings",
    "DkimSettings",
    "Entry",
    "Loaded",
    "OAuth2Settings",
    "Problem",
    "RelaySettings",
    "Secret",
    "SecretLink",
    "SecretUrl",
    "Settings",
    "SettingsError",
    "describe",
    "discover",
    "documentation",
    "enc_hook",
    "fields",
    "keys_markdown",
    "load",
    "markdown",
]
