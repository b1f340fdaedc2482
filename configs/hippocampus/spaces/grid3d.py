# The 3D grid search of the original, 5 epochs each: 76 of 108 combinations, with unet3d_inr_balanced.py.
parameters = dict(
    base_channels=[16, 24, 32],
    depth=[3, 4],
    inr_hidden_dim=[32, 48, 64],
    inr_layers=[2, 3],
    feature_proj=[4, 8, 12],
)


def allowed(base_channels, inr_hidden_dim, feature_proj):
    narrow_with_wide_head = base_channels == 16 and inr_hidden_dim > 48
    wide_with_narrow_head = base_channels == 32 and inr_hidden_dim < 48
    return not (narrow_with_wide_head or wide_with_narrow_head) and feature_proj <= base_channels / 2


def options(base_channels, depth, inr_hidden_dim, inr_layers, feature_proj):
    return {
        'model.backbone.channels': [base_channels * 2**i for i in range(depth + 1)],
        'model.decode_head.in_channels': base_channels,
        'model.decode_head.projection': feature_proj,
        'model.decode_head.implicit.hidden': inr_hidden_dim,
        'model.decode_head.implicit.layers': inr_layers,
        'train_cfg.max_epochs': 5,
    }


def title(base_channels, depth, inr_hidden_dim, inr_layers, feature_proj):
    return f'BC{base_channels}_D{depth}_H{inr_hidden_dim}_L{inr_layers}_P{feature_proj}'
