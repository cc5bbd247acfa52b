import json

import numpy as np
import pytest
import torch
from PIL import Image
from small_sets import random_images, small_set
from torchvision.datasets import ImageFolder

from lt_callbacks.distilled_set import from_image_folder, to_image_folder
from lt_callbacks.distilled_set.facts_file import write_facts
from lt_callbacks.distilled_set.image_files import png_bytes

#: Class names, and the folders that they must get to be in order and to be folders.
ODD_NAMES = [
    (("cat", "dog", "eel", "fox"), ["cat", "dog", "eel", "fox"]),
    (("truck", "cat", "10", "2"), ["0_truck", "1_cat", "2_10", "3_2"]),
    (("a/b", "c", "d", "e"), ["0_a_b", "1_c", "2_d", "3_e"]),
    ((".a", "b", "c", "d"), ["0_.a", "1_b", "2_c", "3_d"]),
    (("a", "b", "c", "d" * 300), ["0_a", "1_b", "2_c", "3_" + "d" * 80]),
]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("names", "folders"), ODD_NAMES, ids=[folders[0] for _, folders in ODD_NAMES])
def test_there_and_back_is_the_same_set(tmp_path, channels, names, folders):
    distilled = small_set(random_images(channels=channels), names=names)
    assert to_image_folder(distilled, tmp_path / "images") == tmp_path / "images"
    found = from_image_folder(tmp_path / "images")
    assert found.sha256 == distilled.sha256
    assert torch.equal(found.images, distilled.images)
    assert torch.equal(found.intended_class, distilled.intended_class)
    assert found.class_names == names
    assert found.provenance == distilled.provenance
    assert sorted(path.name for path in (tmp_path / "images").iterdir() if path.is_dir()) == folders


@pytest.mark.parametrize(("names", "folders"), ODD_NAMES, ids=[folders[0] for _, folders in ODD_NAMES])
def test_torchvision_reads_the_folder_with_the_same_classes(tmp_path, names, folders):
    distilled = small_set(names=names)
    to_image_folder(distilled, tmp_path)
    found = ImageFolder(str(tmp_path))
    assert found.classes == folders
    assert len(found) == 12
    order = torch.argsort(distilled.intended_class, stable=True)
    for place, (image, label) in enumerate(found):
        assert label == int(distilled.intended_class[order[place]])
        assert np.array_equal(np.asarray(image), distilled.images[order[place]].permute(1, 2, 0).numpy())


def test_eleven_classes_stay_in_order(tmp_path):
    names = tuple(str(number) for number in range(11))
    distilled = small_set(random_images(22), names=names, intended_class=torch.arange(22) % 11)
    to_image_folder(distilled, tmp_path)
    assert ImageFolder(str(tmp_path)).classes == [f"{number:02d}_{number}" for number in range(11)]
    assert from_image_folder(tmp_path) == distilled


def test_float_images_are_rounded_only_where_that_is_allowed(tmp_path):
    distilled = small_set(random_images(dtype=torch.float32))
    with pytest.raises(
        ValueError, match="`distilled` must have uint8 images .*; got float32. Pass `allow_rounding=True`"
    ):
        to_image_folder(distilled, tmp_path / "images")
    assert not (tmp_path / "images").exists()
    to_image_folder(distilled, tmp_path / "images", allow_rounding=True)
    found = from_image_folder(tmp_path / "images")
    assert torch.equal(found.images, (distilled.images.double() * 255).round().to(torch.uint8))


def test_what_cannot_be_an_image_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="`distilled` must have one channel or three .*; got 2"):
        to_image_folder(small_set(random_images(channels=2)), tmp_path)
    with pytest.raises(TypeError, match="`distilled` must be a DistilledSet; got Tensor"):
        to_image_folder(random_images(), tmp_path)


def test_nothing_is_written_into_a_folder_with_something_in_it(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(ValueError, match="`folder` must be new or empty"):
        to_image_folder(small_set(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_of_ones_own_is_a_set(tmp_path):
    images = random_images(6)
    for number, name in enumerate(["dog/b.png", "dog/a.png", "cat/z.png", "eel/1.png", "eel/0.png", "cat/y.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(png_bytes(images[number]))
    (tmp_path / "README.txt").touch()
    found = from_image_folder(tmp_path, provenance={"from": "me"})
    assert found.class_names == ("cat", "dog", "eel")
    assert found.intended_class.tolist() == [0, 0, 1, 1, 2, 2]
    assert torch.equal(found.images, images[[5, 2, 1, 0, 4, 3]])
    scaled = images.double() / 255
    assert found.mean == pytest.approx(scaled.mean((0, 2, 3)).tolist())
    assert found.std == pytest.approx(scaled.std((0, 2, 3), unbiased=False).tolist())
    assert found.provenance == {"from": "me"}
    given = from_image_folder(tmp_path, mean=(0.5,) * 3, std=(0.25,) * 3)
    assert (given.mean, given.std) == ((0.5,) * 3, (0.25,) * 3)
    assert from_image_folder(tmp_path, image_size=(4, 5)).image_shape == (3, 4, 5)


@pytest.fixture
def written(tmp_path):
    return to_image_folder(small_set(), tmp_path / "images")


def test_values_that_are_given_win_over_those_recorded(written):
    found = from_image_folder(written, mean=(0.5,) * 3, provenance={"by": "hand"})
    assert found.mean == (0.5,) * 3
    assert found.std == small_set().std
    assert found.provenance == {"by": "hand"}
    assert from_image_folder(written, image_size=4).image_shape == (3, 4, 4)


def test_a_changed_image_is_noticed_until_the_record_is_deleted(written):
    path = written / "cat" / sorted(path.name for path in (written / "cat").iterdir())[0]
    with Image.open(path) as image:
        pixels = np.array(image)
    pixels[0, 0, 0] ^= 1
    Image.fromarray(pixels).save(path)
    with pytest.raises(ValueError, match=r"image_folder\.json', which does not fit the images: some were changed"):
        from_image_folder(written)
    (written / "image_folder.json").unlink()
    assert len(from_image_folder(written)) == 12


def test_added_and_removed_images_are_named_until_the_record_is_deleted(written):
    first = sorted((written / "dog").iterdir())[0]
    (written / "dog" / "new.png").write_bytes(first.read_bytes())
    with pytest.raises(ValueError, match="see 'dog/new.png', which was added"):
        from_image_folder(written)
    (written / "dog" / "new.png").unlink()
    first.unlink()
    with pytest.raises(ValueError, match=f"see 'dog/{first.name}', which is not there"):
        from_image_folder(written)
    (written / "image_folder.json").unlink()
    assert len(from_image_folder(written)) == 11


def test_an_edited_record_is_refused(written):
    path = written / "image_folder.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "class_names": ["a", "b", "c", "d"]}))
    with pytest.raises(
        ValueError, match=r"image_folder\.json', which was edited or damaged.*delete image_folder\.json"
    ):
        from_image_folder(written)


def test_there_must_be_something_to_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="`folder` must hold image files in a folder a class"):
        from_image_folder(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["..", "../elsewhere", "/etc", "a/b", ""])
def test_a_record_that_names_a_folder_elsewhere_is_refused(tmp_path, name):
    folder = to_image_folder(small_set(), tmp_path / "set")
    facts = json.loads((folder / "image_folder.json").read_text())
    del facts["checksum"]
    facts["class_folders"][0] = name
    write_facts(folder / "image_folder.json", facts)
    with pytest.raises(
        ValueError, match=r"image_folder.json', which has '.*' in `class_folders`, which is no name of a"
    ):
        from_image_folder(folder)
