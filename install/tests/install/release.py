"""Makes a release as `.ci/release` does, of programs that do nothing: release.py CHECKOUT VERSION FOLLOWS OUT"""

import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

checkout, version, follows, out = Path(sys.argv[1]), *sys.argv[2:4], Path(sys.argv[4])
(out / "functions").mkdir(parents=True)
template = (checkout / "template.yaml").read_text()
for function in re.findall(r"^ +CodeUri: functions/([a-z-]+)$", template, re.M):
    with zipfile.ZipFile(out / f"functions/{function}.zip", "w") as archive:
        archive.writestr("bootstrap", "#!/bin/sh\nexit 1\n")
template = re.sub(r"^( +CodeUri: functions/[a-z-]+)$", r"\1.zip", template, flags=re.M)
template = re.sub(r"^(  Version: .* Value: )[0-9.]+( })$", rf"\g<1>'{version}'\g<2>", template, flags=re.M)
(out / "template.yaml").write_text(template)
(out / "worker").write_text("")
shutil.copytree(checkout / "image", out / "image")
manifest = {"version": version, "follows": follows or None, "architecture": "x86_64"}
(out / "release.json").write_text(json.dumps(manifest))
